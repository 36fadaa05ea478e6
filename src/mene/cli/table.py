"""``mene table``."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mene.cli.console import READER_GONE, ReaderGone, hand_on, say
from mene.cli.left_out import left_out_lines
from mene.cli.paths import check_output
from mene.cli.piped import ledger_file
from mene.criteria_set import CriteriaSet, load_criteria
from mene.errors import MeneError, UsageError, nearest
from mene.files import whole
from mene.runs.read_ledger import LeftOut, read_verdicts
from mene.runs.source import STDIN, shown
from mene.runs.wide import form_of, long, wide, write

if TYPE_CHECKING:
    import polars


@dataclass(frozen=True, kw_only=True)
class TableOptions:
    """Options of ``mene table``."""

    verdicts: Annotated[
        str,
        typer.Argument(metavar="VERDICTS", help="Verdicts of `mene judge`; - = standard input."),
    ]
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            help="A .csv, .parquet or .jsonl file; - = standard output, as CSV or with --jsonl.",
        ),
    ] = STDIN
    wide: Annotated[
        bool, typer.Option("--wide/--long", help="A row per sample, or a row per verdict.")
    ] = True
    jsonl: Annotated[bool, typer.Option("--jsonl", help="JSON lines on standard output.")] = False
    criterion: Annotated[
        list[str] | None,
        typer.Option(
            "--criterion",
            "-c",
            help="Only these; a set's weights and must_pass give overall_score and overall_passed. Repeatable.",
        ),
    ] = None


def table(options: TableOptions) -> int:
    """Turn verdicts into a table with a row per sample.

    Columns of each criterion: label, score, confidence and error.
    """
    form = _form(options)
    criteria, others = _criteria(options.criterion or [])
    names, left_out, named = (
        {*(c.name for c in criteria or ()), *others},
        LeftOut(),
        shown(options.verdicts),
    )
    with ledger_file(options.verdicts) as path:
        found = list(read_verdicts(path, left_out))
    there = dict.fromkeys(verdict.scope for verdict in found)
    for name in others if there else ():
        if name not in there:
            raise UsageError(
                f"{named}: no verdict by {name}{nearest(name, there)}; it has verdicts by {', '.join(there)}"
            )
    found = [verdict for verdict in found if not names or verdict.scope in names]
    if not found:
        if not there:
            raise UsageError(f"{named} has no verdicts; judge something first: `mene judge FILE`")
        raise UsageError(
            f"{named}: no verdict by {', '.join(names)}; it has verdicts by {', '.join(there)}"
        )
    frame = wide(found, criteria) if options.wide else long(found)
    for line in left_out_lines(named, left_out):
        say(f"mene: {line}")
    if options.output == STDIN:
        return _print(frame, form)
    save(frame, Path(options.output), "--output")
    return 0


def save(frame: polars.DataFrame, target: Path, option: str) -> None:
    """Write a table to a file atomically.

    Args:
        option: names the file, for messages.

    Raises:
        MeneError: it cannot be written.
    """
    try:
        with whole(target) as file:
            write(frame, file, form_of(str(target)))
    except OSError as error:
        raise MeneError(f"{target}: cannot write: {error.strerror}; use another {option}") from None


def _form(options: TableOptions) -> str:
    """Return the output format; invalid options are refused before anything is read."""
    if options.output == STDIN:
        return "jsonl" if options.jsonl else "csv"
    if options.jsonl:
        raise UsageError(
            "--jsonl is for standard output; the ending of --output says the form of a file"
        )
    check_output(Path(options.output), options.verdicts)
    return form_of(options.output)


def _criteria(specs: list[str]) -> tuple[CriteriaSet | None, list[str]]:
    """Return the given criteria, and names that only occur in the verdicts (of a question, or of a section)."""
    known, others = [], []
    for spec in specs:
        try:
            load_criteria(spec)
            known.append(spec)
        except UsageError:
            if not re.fullmatch(r"[\w-]+", spec):
                raise
            others.append(spec)
    return load_criteria(known) if known else None, others


def _print(frame: polars.DataFrame, form: str) -> int:
    text = io.BytesIO()
    write(frame, text, form)
    try:
        for line in text.getvalue().decode("utf-8").removesuffix("\n").split("\n"):
            hand_on(line)
    except ReaderGone:
        return READER_GONE
    return 0
