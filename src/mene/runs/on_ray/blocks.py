"""Tables as blocks of rows: a worker judges one block at a time and writes one part for it.

One task reads a file from start to end in blocks of a given number of rows; several files are read in parallel. A block is
identified by its mark: the hash of the run, the file, the position of its first row and the rows themselves. Blocks that are
in the manifest already are not passed on.
"""

from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from mene.errors import UsageError
from mene.runs.formats import raw_rows
from mene.runs.parts.storage import is_remote, local_copy
from mene.runs.raw import Raw

MOST = 16 << 20  # approximate limit of characters in a block: rows may be long


@dataclass(frozen=True)
class Block:
    """Consecutive rows of a table; or, with ``rows`` = 0, the end of the table.

    Attributes:
        file: index of the table in the run.
        first: position of the first row, from 0; at the end, the number of rows.
        mark: see above; empty at the end.
        raw: the rows, pickled; empty where they have their verdicts already.
        error: at the end, why the table could not be read further.
        cut: at the end, whether the limit was reached, so that more rows may follow.
    """

    file: int
    first: int
    rows: int
    mark: str = ""
    raw: bytes = b""
    error: str = ""
    cut: bool = False


def blocks_of(
    files: Sequence[tuple[int, str]],
    run: str,
    size: int,
    done: frozenset[str] = frozenset(),
    limit: int | None = None,
) -> Iterator[Block]:
    """Yield the blocks of some tables, and after the blocks of each table its end.

    Args:
        files: (index of the table in the run, path or address).
        run: hash of all that decides a verdict besides the rows.
        size: maximum number of rows in a block.
        done: marks of blocks that are judged already.
        limit: maximum number of rows over all tables.
    """
    left = limit
    for file, path in files:
        if left == 0:
            return
        first, why = 0, ""
        try:
            with local_copy(path) as here:
                rows = _renamed(raw_rows(here), here, path)
                for some in _grouped(islice(rows, left), size):
                    mark = mark_of(run, path, first, some)
                    raw = b"" if mark in done else pickle.dumps(some)
                    yield Block(file, first, len(some), mark, raw)
                    first += len(some)
        except UsageError as error:
            why = str(error)
        if left is not None:
            left -= first
        yield Block(file, first, 0, error=why, cut=left == 0)


def _renamed(rows: Iterator[Raw], here: str, path: str) -> Iterator[Raw]:
    """Yield the rows of a local copy under the name of the original."""
    if here == path:
        return rows
    return (raw._replace(where=path + raw.where.removeprefix(here)) for raw in rows)


def _grouped(rows: Iterator[Raw], size: int) -> Iterator[list[Raw]]:
    some: list[Raw] = []
    characters = 0
    for raw in rows:
        some.append(raw)
        characters += sum(len(v) for v in (raw.values or {}).values() if isinstance(v, str))
        if len(some) == size or characters > MOST:
            yield some
            some, characters = [], 0
    if some:
        yield some


def mark_of(run: str, path: str, first: int, rows: Sequence[Raw]) -> str:
    """Return a block's mark, 20 hex digits."""
    place = path if is_remote(path) else os.path.abspath(path)
    said: list[Any] = [run, place, first, [(raw.values, raw.error) for raw in rows]]
    # Pickles of equal rows may differ in what they share in memory; their `repr` does not.
    text = repr(said).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(text, digest_size=10).hexdigest()
