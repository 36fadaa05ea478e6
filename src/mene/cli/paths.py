"""Checks of a command's input and output files, before the work begins."""

from __future__ import annotations

from pathlib import Path

from mene.cli.console import say
from mene.errors import UsageError, nearest_file
from mene.runs.formats import FORMATS, table_format
from mene.runs.source import STDIN, other_encoding

PAGE = "<!doctype html>"  # what mene's pages begin with


def check_input(path: str) -> None:
    """Check that the input is readable, before a model is loaded; warn if many rows will fail.

    Raises:
        UsageError: no such file, a folder, an empty file, or an unknown format.
    """
    if path == STDIN:
        return
    file = Path(path)
    if not file.exists():
        endings = tuple(f".{form}" for form in (*FORMATS, "ndjson", "pq", "gz"))
        raise UsageError(f"{path}: no such file{nearest_file(file, endings) or '; check the path'}")
    if file.is_dir():
        raise UsageError(f"{path}: is a folder; give a file")
    form = table_format(path)
    if file.is_file() and not file.stat().st_size:
        raise UsageError(f"{path} is empty: nothing to judge")
    if file.is_file() and form not in ("parquet", "eval") and (said := other_encoding(path)):
        say(f"mene: {said}")


def check_output(output: Path, *inputs: str | Path, option: str = "--output") -> None:
    """Check that the output does not overwrite an input.

    Args:
        option: the option for the output.

    Raises:
        UsageError: it would.
    """
    for path in inputs:
        if str(path) != STDIN and output.exists() and Path(path).exists() and output.samefile(path):
            raise UsageError(f"{output} is the input itself; choose another file with {option}")


def check_own(output: Path, begins: str, what: str) -> None:
    """Check that the output overwrites only an older output of its kind or an empty file.

    Args:
        begins: the beginning of a file of this kind.
        what: name of this kind of file.

    Raises:
        UsageError: there is another kind of file.
    """
    if not output.is_file():  # a device accepts any output
        return
    try:
        with output.open("rb") as file:
            start = file.read(1000).decode("utf-8", "replace").lstrip()
    except OSError as error:
        raise UsageError(f"{output}: cannot be read: {error.strerror}; use --output") from None
    if start and not start.startswith(begins):
        raise UsageError(
            f"{output} exists and is not {what}; mene leaves it unchanged. Choose another file with --output"
        )
