"""``mene bench`` on a terminal: progress, the table of figures, what it will cost."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from mene.bench.before import Sets, cost, show_cost
from mene.bench.compare import PairedDifference, compare
from mene.bench.data import data_folder, read_set, set_path, stratified, whole_sets
from mene.bench.run import (
    SetResult,
    as_compared,
    check_summaries,
    judge_set,
    ledger_path,
    make_folder,
    slug,
    write_summary,
)
from mene.bench.sampled import as_sampled, told
from mene.bench.score import Score
from mene.bench.sets import BenchSet, all_sets, find_sets
from mene.cli.console import Screen, plain, progress_bar, say, show_json, spinner, warner, words
from mene.cli.judging import open_one
from mene.cli.long_row import reading_said
from mene.errors import UsageError
from mene.judge.judge import Judge
from mene.judge.preset import load_preset
from mene.judge.settings import Options
from mene.stats.intervals import Figure
from mene.stats.paired import holm
from mene.text.visible import visible
from mene.verdict import Verdict

WIDE = 170  # characters that the whole table of figures needs


def bench_on_screen(
    suite: str,
    judges: list[str],
    data: Path | None,
    results: Path,
    *,
    options: Options,
    limit: int | None,
    seed: int,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """``mene bench``. Returns the exit code: 0 every row has a verdict, 1 some failed, 130 stopped."""
    check_names(judges)
    named = find_sets(suite)
    folder = data_folder(data)
    chosen = whole_sets(named, folder)
    sets: Sets = []
    for one in chosen:
        if set_path(folder, one) is not None:
            items = read_set(folder, one)
            sample = stratified(items, limit, seed, whole_groups=one.metric == "group_spearman")
            sets.append((as_sampled(one, sample, items), sample, len(items)))
    missing = [one for one in chosen if one.name not in {s.name for s, _, _ in sets}]
    if not dry_run:
        make_folder(results)
        check_summaries(results, judges)
    errors = Screen(stderr=True)
    estimates = {}
    found: dict[str, dict[str, SetResult]] = {}
    modes: dict[str, str] = {}
    stopped = False
    for spec in judges:
        judge = open_measured(spec, options)
        modes[judge.name] = judge.mode
        try:
            if dry_run:
                estimates[judge.name] = cost(judge, sets)
                if not as_json:
                    show_cost(console_of(), judge, estimates[judge.name], missing)
                continue
            found[judge.name] = {}
            stopped = _judge_all(judge, sets, results, limit, found[judge.name], errors, quiet)
        finally:
            judge.close()
        if stopped:
            break
    if dry_run:
        if as_json:
            not_run = [one.name for one in missing]
            show_json({"judges": estimates, "not_run": not_run})
        return 0
    comparisons = _compare_all(sets, found)
    if as_json:
        show_json(_as_json(found, missing, comparisons))
    else:
        console = console_of()
        for name, scores in found.items():
            if scores:
                wide = console.width >= WIDE
                console.print(table(name, modes[name], sets, scores, missing, wide=wide))
                tell_failed(console, {key: r.verdicts for key, r in scores.items()})
                tell_notes(console, [r.score for r in scores.values()])
        for text in filter(None, (told(one) for one, _, _ in sets)):
            console.print(plain(text))
        if comparisons:
            console.print(comparison_table(comparisons))
        if limit is not None:
            console.print("[dim]A sample of each set: not a benchmark's figure.[/dim]")
        if any(found.values()):
            console.print(f"next     mene leaderboard {plain(shlex.quote(str(results)))}")
    if stopped:
        say(f"mene: stopped. The verdicts so far are in {results}; the same command goes on.")
        return 130
    return 1 if any(r.score.failed for s in found.values() for r in s.values()) else 0


def tell_failed(console: Console, verdicts: dict[str, dict[str, Verdict]]) -> None:
    """Of every set (set -> its verdicts) with failures the first reason; the ledger has them all."""
    for name, given in verdicts.items():
        failed = [v for v in given.values() if v.error is not None]
        if failed:
            rows = "1 row has" if len(failed) == 1 else f"{len(failed)} rows have"
            counts = "counts" if len(failed) == 1 else "count"
            console.print(
                f"[red]{name}: {rows} no verdict and {counts} as wrong[/red]; row {plain(failed[0].id)}: "
                f"{plain(failed[0].error)}. The same command asks for them again."
            )


def tell_notes(console: Console, scores: Sequence[Score]) -> None:
    """What is in no figure though nothing failed."""
    for s in scores:
        if s.even:
            console.print(
                f"{s.name}: {s.even:,} pair{'s' * (s.even != 1)} of two responses that are the same text: no choice to be "
                "made, and not counted"
            )


def open_measured(spec: str, options: Options) -> Judge:
    """Open a judge that is to be measured, with a place of its own for its figures (``as_compared``)."""
    return open_one(as_compared(load_preset(spec), options.get("compare")), options)


def check_names(judges: Sequence[str]) -> None:
    """Before any time is spent: every judge is there, and has results of its own.

    Raises:
        UsageError: one is not there, or two have one name, or names that make one folder.
    """
    taken: dict[str, str] = {}
    for spec in judges:
        name = load_preset(spec).name
        if slug(name) in taken:
            raise UsageError(
                f'{spec}: has the same name as {taken[slug(name)]}, "{name}", and their results would be one; '
                "give it another `name:`"
            )
        taken[slug(name)] = spec


def _judge_all(
    judge: Judge,
    sets: Sets,
    results: Path,
    limit: int | None,
    found: dict[str, SetResult],
    errors: Console,
    quiet: bool,
) -> bool:
    """Judge every set; True where Ctrl-C stopped it."""
    bar = progress_bar(
        spinner(),
        words(),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        words("left"),
        TimeRemainingColumn(),
        console=errors,
        hidden=quiet,
        stuck=lambda: reading_said([judge.engine]),
        speed_estimate_period=120,
    )
    with bar:
        whole = bar.add_task(visible(judge.name), total=sum(len(items) for _, items, _ in sets))
        for one, items, total in sets:
            task = bar.add_task(f"  {one.name}", total=len(items))

            def tick(verdict: object, task: Any = task) -> None:
                bar.update(task, advance=1)
                bar.update(whole, advance=1)

            try:
                result = judge_set(
                    judge,
                    one,
                    items,
                    ledger_path(results, judge.name, one.name, judge.mode),
                    limit=limit,
                    on_verdict=tick,
                    warn=warner(errors),
                )
            except KeyboardInterrupt:
                return True
            found[one.name] = result
            write_summary(results, judge, one, result, total)
    return False


def _compare_all(sets: Sets, found: dict[str, dict[str, SetResult]]) -> list[PairedDifference]:
    names = list(found)
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    # So many resamples that the smallest p there can be is below 0.02 after Holm's correction.
    resamples = max(2000, 100 * len(sets) * len(pairs))
    done = [
        compare(
            one,
            items,
            (a, found[a][one.name].verdicts),
            (b, found[b][one.name].verdicts),
            resamples=resamples,
        )
        for one, items, _ in sets
        for a, b in pairs
        if one.name in found[a] and one.name in found[b]
    ]
    for place, p in enumerate(holm([c.p for c in done])):
        done[place] = PairedDifference(*_fields(done[place]), p_holm=p)
    return done


def _fields(c: PairedDifference) -> tuple[Any, ...]:
    return c.name, c.a, c.b, c.difference, c.p, c.test


def table(
    judge: str,
    mode: str,
    sets: Sets,
    results: dict[str, SetResult],
    missing: Sequence[BenchSet],
    wide: bool = True,
) -> Table:
    """All figures of one judge, each beside what answering without reading reaches.

    Args:
        wide: show calibration and consistency too.
    """
    shown = Table(title=f"{plain(judge)}, {mode} mode", title_justify="left")
    shown.add_column("benchmark")
    shown.add_column("rows", justify="right")
    shown.add_column("metric")
    shown.add_column("figure (95 % interval)")
    shown.add_column("trivial: chance, majority, longer")
    more = ("ECE", "orders agree", "longer: judge / gold") if wide else ()
    for name in (*more, "failed"):
        shown.add_column(name, justify="right")
    kind = ""
    for one, _, total in sets:
        result = results.get(one.name)
        if result is None:
            continue
        if kind and one.kind != kind:
            shown.add_section()
        kind = one.kind
        s = result.score
        rows = f"{s.rows:,}" if s.rows == total else f"{s.rows:,} of {total:,}"
        shown.add_row(
            one.title,
            rows,
            one.metric.replace("_", " "),
            headline_text(s),
            trivial(s),
            *(_more(s) if wide else ()),
            f"[red]{s.failed}[/red]" if s.failed else "0",
        )
    if missing:
        shown.add_section()
    for one in missing:
        how = f"mene bench --get {one.name}" if one.public else one.home
        shown.add_row(one.title, "", "", f"[dim]not run: no data; {plain(how)}[/dim]")
    notes = []
    ways = {v.compare for result in results.values() for v in result.verdicts.values()}
    if "both-orders" in ways:
        notes.append("Pairs are judged in both orders, and each order counts half.")
    if "pointwise" in ways:
        notes.append("Each response of a pair is judged alone, so that no order can sway it.")
    if not wide:
        notes.append(
            "Not shown here: calibration error, agreement of orders, length; widen the terminal, or see "
            "`mene leaderboard`."
        )
    shown.caption, shown.caption_justify = "\n".join(notes) or None, "left"
    return shown


def _more(s: Score) -> tuple[str, str, str]:
    return (
        "" if s.ece is None or s.ece.value is None else f"{s.ece.value:.2f}",
        "" if s.consistency is None else percent(s.consistency.value),
        "" if s.longer is None else f"{s.longer[0]:.0%} / {s.longer[1]:.0%}",
    )


def console_of() -> Console:
    """Standard output; as wide as the tables where nobody says how wide it is (a pipe, a file)."""
    console = Screen()
    return console if console.is_terminal else Screen(width=WIDE)


def headline_text(s: Score) -> str:
    """The figure, bold where its interval lies above every baseline."""
    text = figure_text(s.figure, s.baselines.keys() == {"length"})
    return f"[bold]{text}[/bold]" if s.beats_trivial else text


def figure_text(figure: Figure, correlation: bool) -> str:
    """``48.4 % [42.1, 55.2]`` or ``0.12 [-0.01, 0.25]``."""
    if figure.value is None:
        return "undefined"
    size, digits, unit = (1, 2, "") if correlation else (100, 1, " %")
    text = f"{figure.value * size:.{digits}f}{unit}"
    if figure.low is None or figure.high is None:
        return text
    return rf"{text} \[{figure.low * size:.{digits}f}, {figure.high * size:.{digits}f}]"


def percent(value: float | None) -> str:
    """A share as a whole percentage."""
    return "" if value is None else f"{value:.0%}"


def trivial(s: Score) -> str:
    """The baselines in one cell."""
    if "length" in s.baselines:
        return f"0, length {s.baselines['length']:.2f}"
    return ", ".join(f"{v * 100:.1f}" for v in [s.chance, *s.baselines.values()])


def comparison_table(comparisons: Sequence[PairedDifference]) -> Table:
    """Judges against each other, paired row by row."""
    shown = Table(title="Paired differences, p after Holm", title_justify="left")
    for name in ("benchmark", "judges", "difference (95 % interval)", "p", "test"):
        shown.add_column(name)
    sets = all_sets()
    for c in comparisons:
        correlation = not sets[c.name].is_accuracy
        shown.add_row(
            sets[c.name].title,
            plain(f"{c.a} - {c.b}"),
            figure_text(c.difference, correlation),
            f"{c.p_holm:.3f}" if c.p_holm >= 0.001 else "< 0.001",
            c.test,
        )
    return shown


def _as_json(
    found: dict[str, dict[str, SetResult]],
    missing: Sequence[BenchSet],
    comparisons: Sequence[PairedDifference],
) -> dict[str, Any]:
    return {
        "judges": {
            name: {key: r.score.to_dict() | {"cut": r.cut} for key, r in results.items()}
            for name, results in found.items()
        },
        "not_run": [one.name for one in missing],
        "comparisons": [
            {
                "set": c.name,
                "a": c.a,
                "b": c.b,
                "difference": c.difference.value,
                "low": c.difference.low,
                "high": c.difference.high,
                "p": c.p,
                "p_holm": c.p_holm,
                "test": c.test,
            }
            for c in comparisons
        ],
    }
