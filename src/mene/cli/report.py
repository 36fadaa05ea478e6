"""``mene report``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from mene.cli.console import Screen, plain, say, show_json
from mene.cli.left_out import left_out_lines
from mene.cli.options import FiguresAsJsonOption, LabelsOption, MapOption, columns_of
from mene.cli.paths import PAGE, check_input, check_output, check_own
from mene.cli.summary_shown import so_many_rows
from mene.cli.verdicts_here import address_of, shown_as, verdicts_here
from mene.errors import MeneError, UsageError, nearest, nearest_file
from mene.files import write_whole
from mene.report import Summary, page_of, summarise
from mene.report.join import Joins
from mene.report.labels import doubtful, off_scale
from mene.report.rows import Rows
from mene.report.words import no_claims, not_known
from mene.runs.read_ledger import LeftOut, read_verdicts
from mene.stats.golds import named, read_names
from mene.verdict import Verdict

# Figures of agreement with labels that the screen shows if they are known.
FIGURES = (
    "accuracy", "balanced_accuracy", "kappa", "weighted_kappa", "pearson", "spearman", "ece",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """Options of ``mene report``."""

    verdicts: Annotated[
        Path,
        typer.Argument(help="What `mene judge` wrote: a file, a folder, or the address of one."),
    ]
    data: Annotated[
        str | None, typer.Option("--data", help="The table that was judged: its labels and texts.")
    ] = None
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The page. [VERDICTS with the ending .html; here, if they are in a store]",
        ),
    ] = None
    map_: MapOption = None
    labels: LabelsOption = None
    criterion: Annotated[
        list[str] | None,
        typer.Option(
            "--criterion",
            "-c",
            help="Criterion that the labels belong to, if the file has several; repeatable. [the only one whose scale fits]",
        ),
    ] = None
    json_: FiguresAsJsonOption = False


def report(options: ReportOptions) -> None:
    """Write an HTML page about a file of verdicts."""
    target = _checked(options)
    with verdicts_here(options.verdicts) as path:
        read = _read(options, path)
    for line in read.said:
        say(f"mene: {line}")
    try:
        write_whole(target, page_of(read.sections, options.verdicts.name, rows=read.rows))
    except OSError as error:
        raise MeneError(f"{target}: cannot write: {error.strerror}; use --output") from None
    if options.json_:
        show_json([_figures(section) for section in read.sections], indent=1)
        return
    console = Screen()
    for section in read.sections:
        _show(console, section)
    if options.data is None:
        console.print("  no labels to compare with; --data names the table that was judged")
    console.print(f"page     {plain(target)}", soft_wrap=True)


def _checked(options: ReportOptions) -> Path:
    """Return the path of the page, after checking the options.

    Raises:
        UsageError: options contradict each other, or the page would overwrite another kind of file.
    """
    verdicts, data = options.verdicts, options.data
    if read_names(options.labels) and data is None:
        raise UsageError("--labels reads the labels of a table; name the table with --data")
    if options.criterion and data is None:
        raise UsageError(
            "--criterion says which criterion a table's labels belong to; name the table with --data"
        )
    remote = address_of(verdicts)
    if not remote and not verdicts.is_file() and not verdicts.is_dir():
        raise UsageError(
            f"{verdicts}: cannot read: no such file; give one that `mene judge` wrote{nearest_file(verdicts, ('.jsonl',))}"
        )
    beside = verdicts.with_suffix(".html")
    target = options.output or (Path(beside.name) if remote else beside)
    check_output(target, verdicts, *([] if data is None else [data]))
    check_own(target, PAGE, "a page")
    return target


@dataclass
class _Read:
    """The sections of a page, and notes that are in none of them."""

    sections: list[Summary]
    rows: Rows
    said: list[str] = field(default_factory=list)


def _read(options: ReportOptions, verdicts: Path) -> _Read:
    """Read verdicts and table; ``verdicts`` is the file or folder, or a copy of that in a store."""
    data, criteria = options.data, options.criterion or ()
    names, called = columns_of(options.map_), read_names(options.labels)
    left_out, joined, broken = LeftOut(), None, []
    if data is not None:
        check_input(data)
        joined = Joins(data, names, read_verdicts(verdicts))
        broken = [said for _, said in sorted(joined.broken.items())]
        if broken and not joined.samples:
            raise UsageError(f"no row of {data} can be read; the first: {broken[0]}")
    texts = joined.samples if joined else {}
    golds = {
        place: named(one.label, called) for place, one in texts.items() if one.label is not None
    }
    rows = Rows()

    def row_of(verdict: Verdict) -> Any:
        place = joined.place(verdict) if joined else None
        known = place is not None
        rows.add(
            verdict, place, golds.get(place) if known else None, texts.get(place) if known else None
        )
        return verdict.id if joined is None else place

    sections = summarise(
        read_verdicts(verdicts, left_out), golds or None, texts or None, row_of, criteria or None
    )
    if data is not None:
        own = names.get("label", "")  # takes precedence over the names stored by runs
        sections = [_with_source(s, data, own or s.column) for s in sections]
        sections = sections if criteria else doubtful(sections)
    _check_criteria(verdicts, criteria, sections)
    named_so = shown_as(options.verdicts)
    said = _left_out(named_so, data, broken, left_out, joined, sections)
    return _Read(sections, rows, [*said, *off_scale(sections, called), *no_claims(sections)])


def _check_criteria(verdicts: Path, criteria: Sequence[str], sections: list[Summary]) -> None:
    if not sections:
        raise UsageError(f"{verdicts} has no verdicts; judge something first: `mene judge FILE`")
    asked = list(dict.fromkeys(s.criterion for s in sections))
    for name in criteria:
        if name not in (*asked, *(s.question for s in sections)):
            raise UsageError(
                f'{verdicts}: no verdict on "{name}"{nearest(name, asked)}; it has: {", ".join(asked)}'
            )


def _with_source(s: Summary, table: str, column: str) -> Summary:
    where = f"those in the column “{column}” of {table}" if column else f"those of {table}"
    return replace(s, column=column, source=where)


def _left_out(
    verdicts: str,
    data: str | None,
    broken: list[str],
    left_out: LeftOut,
    joined: Joins | None,
    sections: list[Summary],
) -> Iterator[str]:
    """Yield notes about verdicts and rows that the figures leave out or may misread."""
    yield from left_out_lines(verdicts, left_out)
    if broken:
        s = "s" * (len(broken) != 1)
        yield f"{data}: {len(broken)} row{s} cannot be read and left out; the first: {broken[0]}"
    if joined is None:
        return
    if joined.lost and joined.lost == sum(section.rows - section.errors for section in sections):
        yield (
            f"no verdict of {verdicts} is about a row of {data}: texts and ids differ; is it the table that was judged?"
        )
    elif joined.lost:
        yield (
            f"{joined.lost:,} verdicts have no label: no row of {data} has the judged text, and the id matches no row or "
            "several. Give the same --map as for `mene judge`, or judge the table again"
        )
    if joined.by_id:
        yield (
            f"{joined.by_id:,} verdicts were matched to rows by id only: the texts in {data} differ from those that were judged "
            "(was it edited, or read with another --map?)"
        )


def _show(console: Screen, section: Summary) -> None:
    console.print(f"[bold]{plain(section.criterion)}[/bold] by {plain(section.judge)}")
    if section.question not in ("", section.criterion):
        console.print(f"  {plain(section.question)}")
    left = f", {section.abstained} left to a person" if section.abstained else ""
    console.print(f"  {so_many_rows(section.rows)}, {section.errors} without a verdict{left}")
    for name, figure in _figures(section)["agreement"].items():
        if isinstance(figure, dict) and figure["value"] is not None:
            low, high = figure["low"], figure["high"]
            span = f" [{low:.3f}, {high:.3f}]" if low is not None else ""
            console.print(f"  {name} {figure['value']:.3f}{plain(span)} (n = {figure['n']})")
    if section.rivals:
        console.print("  not scored: it is not known which criterion the labels belong to")


def _figures(section: Summary) -> dict[str, Any]:
    """Return a section's figures without its rows, for ``--json`` and the screen."""
    agreement = section.agreement
    figures: dict[str, Any] = {}
    if agreement is not None:
        for name in FIGURES:
            figure = getattr(agreement, name)
            if figure is not None:
                figures[name] = asdict(figure)
        for baseline in agreement.baselines:
            figures[f"baseline: {baseline.name}"] = {
                "value": baseline.accuracy, "low": None, "high": None, "n": agreement.n,
            }  # fmt: skip
    return {
        "criterion": section.criterion,
        "question": section.question or None,
        "judge": section.judge,
        "rows": section.rows,
        "errors": section.errors,
        "abstained": section.abstained,
        "labels": section.shares,
        "off_scale": section.off_scale,
        "mean_score": section.mean_score,
        "mean_confidence": section.mean_confidence,
        "agreement": figures,
        "labels_from": section.source if agreement is not None else None,
        "not_scored": not_known(section) if section.rivals else None,
    }
