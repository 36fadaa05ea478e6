"""The figures of a benchmark run as tables, and the notes below them."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from mene.bench.compare import PairedDifference
from mene.bench.cost import Sets
from mene.bench.run import SetResult
from mene.bench.score import Score
from mene.bench.sets import BenchSet, all_sets
from mene.cli.console import Screen, plain
from mene.stats.intervals import Figure
from mene.verdict import Verdict

WIDE = 170  # characters that the whole table of figures needs


def tell_failed(console: Console, verdicts: dict[str, dict[str, Verdict]]) -> None:
    """Print the first failure of every set (set -> its verdicts); the ledger has all of them."""
    for name, given in verdicts.items():
        failed = [v for v in given.values() if v.error is not None]
        if failed:
            rows = "1 row has" if len(failed) == 1 else f"{len(failed)} rows have"
            counts = "counts" if len(failed) == 1 else "count"
            console.print(
                f"[red]{name}: {rows} no verdict and {counts} as wrong[/red]; row {plain(failed[0].id)}: "
                f"{plain(failed[0].error)}. Run the same command again to retry."
            )


def tell_notes(console: Console, scores: Sequence[Score]) -> None:
    """Print what no figure includes although it did not fail."""
    for s in scores:
        if s.even:
            console.print(
                f"{s.name}: {s.even:,} pair{'s' * (s.even != 1)} whose two responses are the same text: not counted"
            )


def table(
    judge: str,
    mode: str,
    sets: Sets,
    results: dict[str, SetResult],
    missing: Sequence[BenchSet],
    wide: bool = True,
) -> Table:
    """Return a table of all figures of one judge, next to baselines that answer without reading.

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
        notes.append(
            "Each response of a pair is judged alone, so that their order has no influence."
        )
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
    """Return standard output; as wide as the tables if its width is not known (a pipe, a file)."""
    console = Screen()
    return console if console.is_terminal else Screen(width=WIDE)


def headline_text(s: Score) -> str:
    """Return the figure, in bold if its interval is above every baseline."""
    text = figure_text(s.figure, s.baselines.keys() == {"length"})
    return f"[bold]{text}[/bold]" if s.beats_trivial else text


def figure_text(figure: Figure, correlation: bool) -> str:
    """Return ``48.4 % [42.1, 55.2]`` or ``0.12 [-0.01, 0.25]``."""
    if figure.value is None:
        return "undefined"
    size, digits, unit = (1, 2, "") if correlation else (100, 1, " %")
    text = f"{figure.value * size:.{digits}f}{unit}"
    if figure.low is None or figure.high is None:
        return text
    return rf"{text} \[{figure.low * size:.{digits}f}, {figure.high * size:.{digits}f}]"


def percent(value: float | None) -> str:
    """Return a share as a whole percentage."""
    return "" if value is None else f"{value:.0%}"


def trivial(s: Score) -> str:
    """Return the baselines in one cell."""
    if "length" in s.baselines:
        return f"0, length {s.baselines['length']:.2f}"
    return ", ".join(f"{v * 100:.1f}" for v in [s.chance, *s.baselines.values()])


def comparison_table(comparisons: Sequence[PairedDifference]) -> Table:
    """Return a table that compares judges, paired row by row."""
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
