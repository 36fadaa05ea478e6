"""``mene compare``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from mene.cli.console import Screen, plain, say, show_json
from mene.cli.left_out import left_out_lines
from mene.cli.options import MapOption, columns_of
from mene.cli.paths import PAGE, check_input, check_output, check_own
from mene.cli.verdicts_here import shown_as, verdicts_here
from mene.errors import MeneError, UsageError
from mene.files import write_whole
from mene.gate.compare import Compared, Comparison, Row
from mene.gate.compare import compare as compared
from mene.gate.match import By
from mene.gate.page import Texts, key_of, lead, p_words, page_of
from mene.gate.sections import Said, Section, read_sections, said
from mene.gate.words import figure_words
from mene.report.join import Joins
from mene.runs.read_ledger import LeftOut, read_verdicts
from mene.sample import Sample

BY = ("id", "content", "instruction", "row")
SHOWN = 5  # regressions on the screen, and half as many improvements
FLIPS = 6


@dataclass(frozen=True, kw_only=True)
class CompareOptions:
    """Options of ``mene compare``."""

    a: Annotated[Path, typer.Argument(metavar="A", help="Verdicts of the run before.")]
    b: Annotated[Path, typer.Argument(metavar="B", help="Verdicts of the run after.")]
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write a page about it to this HTML file.")
    ] = None
    criterion: Annotated[
        list[str] | None,
        typer.Option("--criterion", "-c", help="Criterion to compare; repeatable. [all in both]"),
    ] = None
    match: Annotated[
        str | None,
        typer.Option(
            "--match",
            help="Which rows belong together: those of one id, content, instruction (with --data) or row of the table. "
            "[id; content if no id is in both]",
        ),
    ] = None
    data: Annotated[
        str | None, typer.Option("--data", help="The table that was judged, for the texts of rows.")
    ] = None
    data_a: Annotated[
        str | None, typer.Option("--data-a", help="The table of A, where B has another.")
    ] = None
    data_b: Annotated[str | None, typer.Option("--data-b", help="The table of B.")] = None
    map_: MapOption = None
    judge_a: Annotated[
        str | None, typer.Option("--judge-a", help="Judge in A, if it has several.")
    ] = None
    judge_b: Annotated[
        str | None, typer.Option("--judge-b", help="Judge in B, if it has several.")
    ] = None
    show: Annotated[
        int, typer.Option("--show", min=0, help="Regressions to print. [5]", show_default=False)
    ] = SHOWN
    json_: Annotated[bool, typer.Option("--json", help="Print the figures and rows as JSON.")] = (
        False
    )


def compare(options: CompareOptions) -> None:
    """Compare two runs on the same rows."""
    _check(options)
    names = _names(options)
    with verdicts_here(options.a) as path_a, verdicts_here(options.b) as path_b:
        a = _sections(path_a, options.judge_a, "--judge-a", shown_as(options.a))
        b = _sections(path_b, options.judge_b, "--judge-b", shown_as(options.b))
        texts = _texts(options, path_a, path_b)
    found = compared(
        a,
        b,
        names=names,
        by=cast("By | None", options.match),
        criteria=options.criterion or (),
        instructions=_instructions(texts, a, b) if options.match == "instruction" else None,
    )
    for line in found.said:
        say(f"mene: {line}")
    if not any(one.a.n for one in found.criteria):
        raise UsageError(
            f"nothing to compare: no row has a label in both {names[0]} and {names[1]} on one scale; judge both with one "
            "criterion, and look at errors with `mene report`"
        )
    if options.output is not None:
        try:
            write_whole(options.output, page_of(found, names, texts))
        except OSError as error:
            raise MeneError(
                f"{options.output}: cannot write: {error.strerror}; use --output"
            ) from None
    if options.json_:
        show_json(_as_json(found, names), indent=1)
        return
    console = Screen()
    for one in found.criteria:
        _show(console, one, names, texts, options.show)
    if not texts and options.show and any(one.rows for one in found.criteria):
        console.print("texts    --data TABLE shows those of the rows")
    if options.output is not None:
        console.print(f"page     {plain(options.output)}", soft_wrap=True)


def _check(options: CompareOptions) -> None:
    if options.match not in (None, *BY):
        raise UsageError(f"--match {options.match}: it is {', '.join(BY[:-1])} or {BY[-1]}")
    if options.match == "instruction" and not (options.data or (options.data_a and options.data_b)):
        raise UsageError(
            "--match instruction: verdicts do not hold what was asked; name the table with --data, or both with --data-a "
            "and --data-b"
        )
    for table in (options.data, options.data_a, options.data_b):
        if table is not None:
            check_input(table)
    if options.output is not None:
        tables = (t for t in (options.data, options.data_a, options.data_b) if t is not None)
        check_output(options.output, options.a, options.b, *tables)
        check_own(options.output, PAGE, "a page")


def _names(options: CompareOptions) -> tuple[str, str]:
    """Return the shortest names that distinguish the runs."""
    a, b = options.a, options.b
    if a.resolve() == b.resolve():
        if options.judge_a is None or options.judge_b is None:
            raise UsageError(
                f"{shown_as(a)} is compared with itself: name two of its judges with --judge-a and --judge-b, or another file"
            )
        return options.judge_a, options.judge_b
    return (a.name, b.name) if a.name != b.name else (shown_as(a), shown_as(b))


def _sections(path: Path, judge: str | None, option: str, shown: str) -> list[Section]:
    left_out = LeftOut()
    sections = read_sections(path, left_out)
    for line in left_out_lines(shown, left_out):
        say(f"mene: {line}")
    if judge is None:
        return sections
    chosen = [section for section in sections if section.judge == judge]
    if not chosen:
        judges = ", ".join(dict.fromkeys(s.judge for s in sections))
        raise UsageError(
            f"{option}: {shown} has no verdict by {judge}; it has verdicts by: {judges}"
        )
    return chosen


def _texts(
    options: CompareOptions, a: Path, b: Path
) -> dict[tuple[int, str, str, int, str], Sample]:
    """Return the samples of all verdicts whose table is known."""
    found: dict[tuple[int, str, str, int, str], Sample] = {}
    tables = options.data_a or options.data, options.data_b or options.data
    given = shown_as(options.a), shown_as(options.b)
    for run, (path, shown, table) in enumerate(zip((a, b), given, tables, strict=True)):
        if table is None:
            continue
        joins = Joins(table, columns_of(options.map_), read_verdicts(path))
        for verdict in read_verdicts(path):
            place = joins.place(verdict)
            if place is not None and place in joins.samples:
                key = key_of(run, verdict.criterion, verdict.judge, said(verdict))
                found[key] = joins.samples[place]
        if not joins.samples:
            raise UsageError(f"no row of {table} can be read; is it the table that was judged?")
        if joins.lost:
            say(
                f"mene: {joins.lost:,} verdicts of {shown} are about no row of {table}, and have no text"
            )
    return found


def _instructions(
    texts: Texts, a: list[Section], b: list[Section]
) -> Callable[[int, Said], str | None]:
    """Return the instruction of each row, for ``--match instruction``."""
    by_row: dict[tuple[int, int, str], str | None] = {}
    for (run, _, _, row, name), sample in texts.items():
        by_row[run, row, name] = sample.instruction
    return lambda run, row: by_row.get((run, row.row, row.id))


def _show(console: Screen, one: Compared, names: tuple[str, str], texts: Texts, most: int) -> None:
    judges = " and ".join(dict.fromkeys(one.judges))
    console.print(f"[bold]{plain(one.criterion)}[/bold] by {plain(judges)}")
    colour = "red" if one.directed and (one.difference.high or 0) < 0 else "default"
    wrap = not console.is_terminal
    console.print(f"  [{colour}]{plain(lead(one, names))}[/]", soft_wrap=wrap)
    if one.figure:
        for name, figure in zip(names, (one.a, one.b), strict=True):
            console.print(
                f"  {plain(name)}: {plain(figure_words(figure, one.percent))}", soft_wrap=wrap
            )
    correction = (
        f", {p_words(one.p_holm)} corrected for all criteria" if one.p != one.p_holm else ""
    )
    console.print(f"  {one.test}: {p_words(one.p)}{correction}", soft_wrap=wrap)
    if one.directed:
        console.print(
            f"  rows     {one.wins:,} better, {one.losses:,} worse, {one.ties:,} as good, by their labels"
        )
    if one.unlabelled:
        console.print(
            f"  left out {one.unlabelled:,} without a label in one run or both ({one.failed:,} errors)"
        )
    flips = [(pair, n) for pair, n in one.flips.items() if pair[0] != pair[1]]
    shown = ", ".join(f"{x} to {y}: {n:,}" for (x, y), n in flips[:FLIPS])
    more = f" and {len(flips) - FLIPS} more kinds" if len(flips) > FLIPS else ""
    console.print(f"  labels   {plain(shown or 'none changed')}{more}", soft_wrap=wrap)
    worse = [row for row in one.rows if row.way < 0 or not one.directed][:most]
    better = [row for row in reversed(one.rows) if row.way > 0 and one.directed][: (most + 1) // 2]
    how = "by score or probability, the largest first"
    title = f"regressions {how}" if one.directed else "rows that changed most"
    _show_rows(console, title, worse, one, texts)
    _show_rows(console, "improvements", better, one, texts)


def _show_rows(console: Screen, title: str, rows: list[Row], one: Compared, texts: Texts) -> None:
    if rows:
        console.print(f"  [dim]{title}[/dim]")
    for row in rows:
        sample = texts.get(key_of(1, one.criterion, one.judges[1], row.b))
        words = " ".join((sample.response or "").split())[:60] if sample else ""
        console.print(
            f"    {plain(row.a.id)}: {plain(row.a.label)} to {plain(row.b.label)} ({row.size:+.2f})  [dim]{plain(words)}[/dim]",
            soft_wrap=not console.is_terminal,
        )


def _as_json(found: Comparison, names: tuple[str, str]) -> dict[str, Any]:
    return {
        "a": names[0],
        "b": names[1],
        "criteria": [_one_as_json(one) for one in found.criteria],
        "said": list(found.said),
    }


def _one_as_json(one: Compared) -> dict[str, Any]:
    figures = {name: asdict(getattr(one, name)) for name in ("a", "b", "difference")}
    return {
        "criterion": one.criterion,
        "judge_a": one.judges[0],
        "judge_b": one.judges[1],
        "figure": one.figure or None,
        **figures,
        "test": one.test,
        "p": one.p,
        "p_holm": one.p_holm,
        "wins": one.wins if one.directed else None,
        "losses": one.losses if one.directed else None,
        "ties": one.ties if one.directed else None,
        "labels": {label: {"a": x, "b": y} for label, (x, y) in one.shares.items()},
        "flips": [{"a": x, "b": y, "rows": n} for (x, y), n in one.flips.items()],
        "matched": {
            "by": one.matched.by,
            "rows": len(one.matched.pairs),
            "only_a": len(one.matched.only_a),
            "only_b": len(one.matched.only_b),
            "repeated": len(one.matched.repeated),
            "without_label": one.unlabelled,
            "errors": one.failed,
        },
        "rows": [
            {"id": row.a.id, "a": row.a.label, "b": row.b.label, "change": row.size}
            for row in one.rows
        ],
    }
