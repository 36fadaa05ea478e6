"""``mene table``."""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mene.cli.console import READER_GONE, ReaderGone, hand_on, say
from mene.cli.paths import check_output
from mene.criteria_set import load_criteria
from mene.errors import LedgerError, MeneError, UsageError, nearest_file
from mene.files import whole
from mene.runs.read_ledger import LeftOut, read_verdicts
from mene.runs.source import STDIN
from mene.runs.wide import form_of, long, wide, write

if TYPE_CHECKING:
    import polars


@dataclass(frozen=True, kw_only=True)
class TableOptions:
    """What can be asked of ``mene table``."""

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
    criteria = load_criteria(options.criterion) if options.criterion else None
    left_out = LeftOut()
    with _ledger(options.verdicts) as path:
        found = read_verdicts(path, left_out)
        if criteria is not None:
            names = {criterion.name for criterion in criteria}
            found = (verdict for verdict in found if verdict.scope in names)
        try:
            frame = wide(found, criteria) if options.wide else long(found)
        except LedgerError as error:
            raise LedgerError(str(error).replace(str(path), _named(options.verdicts))) from None
        except UsageError as error:
            raise UsageError(f"{_named(options.verdicts)}: {error}") from None
    if left_out.earlier:
        say(f"mene: {left_out.earlier} verdicts of earlier runs are not in the table")
    if options.output == STDIN:
        return _print(frame, form)
    save(frame, Path(options.output))
    return 0


def save(frame: polars.DataFrame, target: Path) -> None:
    """Write a table into a file, whole or not at all.

    Raises:
        MeneError: it cannot be written.
    """
    try:
        with whole(target) as file:
            write(frame, file, form_of(str(target)))
    except OSError as error:
        raise MeneError(f"{target}: cannot write: {error.strerror}; use another --output") from None


def _form(options: TableOptions) -> str:
    """What is written; refuses what cannot be before anything is read."""
    path = Path(options.verdicts)
    if options.verdicts != STDIN and not path.is_file():
        near = nearest_file(path, (".jsonl",))
        raise UsageError(
            f"{path}: cannot read: no such file; give one that `mene judge` wrote{near}"
        )
    if options.output == STDIN:
        return "jsonl" if options.jsonl else "csv"
    if options.jsonl:
        raise UsageError(
            "--jsonl is for standard output; the ending of --output says the form of a file"
        )
    check_output(Path(options.output), options.verdicts)
    return form_of(options.output)


def _named(path: str) -> str:
    return "standard input" if path == STDIN else path


@contextmanager
def _ledger(path: str) -> Iterator[Path]:
    """The file with the verdicts. It is read twice, so standard input is kept in one for the time being."""
    if path != STDIN:
        yield Path(path)
        return
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder) / "verdicts.jsonl"
        with kept.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        yield kept


def _print(frame: polars.DataFrame, form: str) -> int:
    text = io.BytesIO()
    write(frame, text, form)
    try:
        for line in text.getvalue().decode("utf-8").removesuffix("\n").split("\n"):
            hand_on(line)
    except ReaderGone:
        return READER_GONE
    return 0
