"""Reading files of raw rows, and messages about failures."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from mene.errors import UsageError

# Exceptions from a file that is missing, truncated, or not gzipped UTF-8.
UNREADABLE = (OSError, EOFError, UnicodeDecodeError, zlib.error)


def read_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a ``.jsonl.gz`` file; raises one of ``UNREADABLE`` on failure."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        yield from file


def left_out(path: Path, number: int, why: object) -> str:
    """Return the message about a broken row."""
    return f"{path}, line {number}: {why}; left out"


def unreadable(path: Path, name: str, why: object) -> UsageError:
    """Return the error about the file of the set ``name`` that cannot be read to its end."""
    if isinstance(why, FileNotFoundError):
        return UsageError(
            f"{path}: not there; give the folder of raw sets with --data, or drop {name} from the recipe"
        )
    return UsageError(f"{path}: damaged ({why}); download the file again")


def useless(path: Path, name: str) -> UsageError:
    """Return the error about a file without a good row."""
    return UsageError(
        f"{path}: no usable row; download the file again, or drop {name} from the recipe"
    )
