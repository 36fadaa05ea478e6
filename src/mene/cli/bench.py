"""``mene bench``."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from mene.bench.compare import PairedDifference, compare
from mene.bench.cost import Sets, cost
from mene.bench.data import data_folder, read_set, set_path, stratified, whole_sets
from mene.bench.run import (
    SetResult,
    check_summaries,
    judge_set,
    ledger_path,
    write_summary,
)
from mene.bench.sampled import as_sampled, told
from mene.bench.sets import BenchSet, find_sets
from mene.cli.bench_sets import get_sets, list_sets, show_cost
from mene.cli.bench_tables import (
    WIDE,
    comparison_table,
    console_of,
    table,
    tell_failed,
    tell_notes,
)
from mene.cli.console import Screen, plain, say, show_json
from mene.cli.measuring import check_names, moving, open_measured, rows_bar
from mene.cli.opening import judges_named
from mene.cli.options import (
    CompareOption,
    ConcurrencyOption,
    FiguresAsJsonOption,
    JudgesOption,
    ModeOption,
    QuietOption,
    RpmOption,
    TemplateOption,
    ThoughtOption,
    TokensOption,
    settings_of,
)
from mene.cli.probe import PROBES, probe
from mene.errors import UsageError
from mene.files import make_folder
from mene.judge.judge import Judge
from mene.judge.settings import Options
from mene.stats.paired import holm
from mene.text.visible import visible


@dataclass(frozen=True, kw_only=True)
class BenchOptions:
    """Options of ``mene bench``. A field with the name of a setting of the judge sets it (``settings_of``)."""

    suite: Annotated[
        str,
        typer.Option(
            "--suite",
            help="selene11, domain, extended, all, or sets, comma-separated; robustness or bias "
            "(of SETS: bias:SET,SET).",
        ),
    ] = "selene11"
    judge: JudgesOption = None
    data: Annotated[
        Path | None, typer.Option("--data", help="Folder of the benchmark files. [MENE_DATA]")
    ] = None
    results: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for verdicts and figures.")
    ] = Path("results")
    mode: ModeOption = None
    template: TemplateOption = None
    compare: CompareOption = None
    critique_tokens: TokensOption = None
    thought_tokens: ThoughtOption = None
    limit: Annotated[
        int | None,
        typer.Option("--limit", min=1, help="Judge a random sample of N rows of each set."),
    ] = None
    sample_seed: Annotated[int, typer.Option("--seed", help="Seed of the random sample.")] = 0
    concurrency: ConcurrencyOption = None
    requests_per_minute: RpmOption = None
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Estimate rows, tokens and minutes, and stop.")
    ] = False
    get: Annotated[
        str | None,
        typer.Option("--get", help="Download sets by name from their publishers into --data."),
    ] = None
    on: Annotated[
        str | None,
        typer.Option("--on", help="ray: models on all cores or a cluster (RAY_ADDRESS)."),
    ] = None
    list_: Annotated[bool, typer.Option("--list", help="List all benchmarks, and stop.")] = False
    json_: FiguresAsJsonOption = False
    quiet: QuietOption = False


def bench(options: BenchOptions) -> int:
    """Measure judges on benchmarks that people labelled.

    If it was stopped, run the same command again to continue.

    Exit code: 0 every row has a verdict, 1 some rows failed, 2 could not run, 130 stopped.
    """
    if options.list_:
        list_sets(options.data, as_json=options.json_)
        return 0
    if options.get:
        get_sets(options.get, options.data)
        return 0
    settings = settings_of(options, truncate="context")
    judges = judges_named(options.judge)
    check_names(judges)
    if options.suite.partition(":")[0] in PROBES:
        if options.on is not None:
            raise UsageError(
                "--on ray is for sets of benchmarks; leave it out for robustness and bias"
            )
        return probe(options, judges, settings)
    sets, missing = _sets(options)
    if options.dry_run:
        _estimate(options, judges, settings, sets, missing)
        return 0
    make_folder(options.results)
    check_summaries(options.results, judges)
    found, stopped = _judged(options, judges, settings, sets)
    comparisons = _compare_all(sets, found)
    if options.json_:
        show_json(_as_json(found, missing, comparisons))
    else:
        _show(options, sets, missing, found, comparisons)
    if stopped:
        say(
            f"mene: stopped. The verdicts so far are in {options.results}; run the same command again to continue."
        )
        return 130
    return 1 if any(r.score.failed for one in found.values() for r in one.results.values()) else 0


@dataclass
class _Judged:
    """The results of one judge: its mode, and a result for every set."""

    mode: str
    results: dict[str, SetResult]


def _sets(options: BenchOptions) -> tuple[Sets, list[BenchSet]]:
    """Return the local sets, sampled, and the missing ones."""
    named = find_sets(options.suite)
    folder = data_folder(options.data)
    chosen = whole_sets(named, folder)
    sets: Sets = []
    for one in chosen:
        if set_path(folder, one) is not None:
            items = read_set(folder, one)
            whole_groups = one.metric == "group_spearman"
            sample = stratified(
                items, options.limit, options.sample_seed, whole_groups=whole_groups
            )
            sets.append((as_sampled(one, sample, items), sample, len(items)))
    here = {one.name for one, _, _ in sets}
    return sets, [one for one in chosen if one.name not in here]


def _estimate(
    options: BenchOptions,
    judges: list[str],
    settings: Options,
    sets: Sets,
    missing: Sequence[BenchSet],
) -> None:
    """``--dry-run``."""
    estimates = {}
    for spec in judges:
        with open_measured(spec, settings) as judge:
            estimates[judge.name] = cost(judge, sets)
            if not options.json_:
                show_cost(console_of(), judge, estimates[judge.name], missing)
    if options.json_:
        show_json({"judges": estimates, "not_run": [one.name for one in missing]})


def _judged(
    options: BenchOptions, judges: list[str], settings: Options, sets: Sets
) -> tuple[dict[str, _Judged], bool]:
    """Return judge -> its results, and whether Ctrl-C stopped the run."""
    errors = Screen(stderr=True)
    found: dict[str, _Judged] = {}
    for spec in judges:
        with open_measured(spec, settings, options.on) as judge:
            mine = found[judge.name] = _Judged(judge.mode, {})
            if _judge_all(judge, sets, options, mine.results, errors):
                return found, True
    return found, False


def _judge_all(
    judge: Judge,
    sets: Sets,
    options: BenchOptions,
    found: dict[str, SetResult],
    errors: Console,
) -> bool:
    """Judge every set. Return True if Ctrl-C stopped it."""
    results = options.results
    with rows_bar(judge, errors, hidden=options.quiet) as bar:
        whole = bar.add_task(visible(judge.name), total=sum(len(items) for _, items, _ in sets))
        for one, items, total in sets:
            task = bar.add_task(f"  {one.name}", total=len(items))
            ledger = ledger_path(results, judge.name, one.name, judge.mode)
            try:
                result = judge_set(judge, one, items, ledger, events=moving(bar, task, whole))
            except KeyboardInterrupt:
                return True
            found[one.name] = result
            write_summary(results, judge, one, result, total)
    return False


def _compare_all(sets: Sets, found: dict[str, _Judged]) -> list[PairedDifference]:
    names = list(found)
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    # Enough resamples that the smallest possible p is below 0.02 after Holm's correction.
    resamples = max(2000, 100 * len(sets) * len(pairs))
    done = [
        compare(
            one,
            items,
            (a, found[a].results[one.name].verdicts),
            (b, found[b].results[one.name].verdicts),
            resamples=resamples,
        )
        for one, items, _ in sets
        for a, b in pairs
        if one.name in found[a].results and one.name in found[b].results
    ]
    ps = holm([c.p for c in done])
    return [replace(c, p_holm=p) for c, p in zip(done, ps, strict=True)]


def _show(
    options: BenchOptions,
    sets: Sets,
    missing: Sequence[BenchSet],
    found: dict[str, _Judged],
    comparisons: Sequence[PairedDifference],
) -> None:
    console = console_of()
    for name, one in found.items():
        results = one.results
        if results:
            wide = console.width >= WIDE
            console.print(table(name, one.mode, sets, results, missing, wide=wide))
            tell_failed(console, {key: r.verdicts for key, r in results.items()})
            tell_notes(console, [r.score for r in results.values()])
    for text in filter(None, (told(one) for one, _, _ in sets)):
        console.print(plain(text))
    if comparisons:
        console.print(comparison_table(comparisons))
    if options.limit is not None:
        console.print(
            "[dim]Measured on a sample of each set, so these are not the benchmarks' own figures.[/dim]"
        )
    if any(one.results for one in found.values()):
        console.print(f"next     mene leaderboard {plain(shlex.quote(str(options.results)))}")


def _as_json(
    found: dict[str, _Judged],
    missing: Sequence[BenchSet],
    comparisons: Sequence[PairedDifference],
) -> dict[str, Any]:
    return {
        "judges": {
            name: {key: r.score.to_dict() | {"cut": r.cut} for key, r in one.results.items()}
            for name, one in found.items()
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
