"""Files of raw rows: their lines, and what is said where reading them fails."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from mene.errors import UsageError

# What reading a file raises that is not there, cut short, or not gzipped UTF-8.
UNREADABLE = (OSError, EOFError, UnicodeDecodeError, zlib.error)


def read_lines(path: Path) -> Iterator[str]:
    """Stream the lines of a ``.jsonl.gz`` file; one of ``UNREADABLE`` is raised where that fails."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        yield from file


def left_out(path: Path, number: int, why: object) -> str:
    """What is said of a broken row."""
    return f"{path}, line {number}: {why}; left out"


def unreadable(path: Path, name: str, why: object) -> UsageError:
    """What is said of the file of the set ``name`` where it cannot be read to its end."""
    if isinstance(why, FileNotFoundError):
        return UsageError(
            f"{path}: not there; give the folder of raw sets with --data, or drop {name} from the recipe"
        )
    return UsageError(f"{path}: damaged ({why}); download the file again")


def useless(path: Path, name: str) -> UsageError:
    """What is said of a file without a good row."""
    return UsageError(
        f"{path}: no usable row; download the file again, or drop {name} from the recipe"
    )
