"""Reading files of raw rows, and messages about failures."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Sequence
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


def useless(path: Path, name: str | None = None) -> UsageError:
    """Return the error about a file without a good row.

    Args:
        name: of the set; None where the recipe does not name it, since a generator reads it.
    """
    drop = f", or drop {name} from the recipe" if name else ""
    return UsageError(f"{path}: no usable row; download the file again{drop}")


def too_few(folder: Path, names: Sequence[str], maker: str, found: int, needed: int) -> UsageError:
    """Return the error about raw sets of which a generator can use fewer rows than it needs.

    Args:
        folder: of the sets ``names``.
        maker: as the recipe names it.
    """
    paths = ", ".join(str(folder / f"{name}.jsonl.gz") for name in names)
    rows = f"{found} usable row{'' if found == 1 else 's'}"
    return UsageError(
        f"{paths}: {rows} for {maker}, which needs {needed} or more; download again, or drop {maker} from data.make"
    )
