"""What a command reads and writes, looked at before any time is spent."""

from __future__ import annotations

from pathlib import Path

from mene.cli.console import say
from mene.errors import UsageError, nearest_file
from mene.runs.formats import FORMATS, table_format
from mene.runs.source import STDIN, other_encoding

PAGE = "<!doctype html>"  # what mene's pages begin with


def check_input(path: str) -> None:
    """Refuse what cannot be read, before a model is loaded; say of a file of which many rows will fail why.

    Raises:
        UsageError: no such file, a folder, an empty file, or an unknown format.
    """
    if path == STDIN:
        return
    file = Path(path)
    if not file.exists():
        endings = tuple(f".{form}" for form in (*FORMATS, "ndjson", "pq", "gz"))
        raise UsageError(f"{path}: no such file{nearest_file(file, endings)}")
    if file.is_dir():
        raise UsageError(f"{path}: is a folder; give a file")
    form = table_format(path)
    if file.is_file() and not file.stat().st_size:
        raise UsageError(f"{path} is empty: nothing to judge")
    if file.is_file() and form not in ("parquet", "eval") and (said := other_encoding(path)):
        say(f"mene: {said}")


def check_output(output: Path, *inputs: str | Path, option: str = "--output") -> None:
    """See that what is written does not take the place of what is read.

    Args:
        option: which names the output.

    Raises:
        UsageError: it would.
    """
    for path in inputs:
        if str(path) != STDIN and output.exists() and Path(path).exists() and output.samefile(path):
            raise UsageError(f"{output} is the input itself; choose another file with {option}")


def check_own(output: Path, begins: str, what: str) -> None:
    """See that what is written takes the place of its like alone: an older one, an empty file, or none.

    Args:
        begins: what a file of this kind begins with.
        what: what it is called.

    Raises:
        UsageError: something else is there.
    """
    if not output.is_file():  # a device takes what it is given
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
