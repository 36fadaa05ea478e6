"""Tables as blocks of rows: what one task of a worker judges, and one part holds.

A file is read from its start to its end by one task, in blocks of so many rows; several files are read at once. A block is
known by its mark, the hash of the run, the file, the place of its first row and the rows as they stand there: one that the
manifest has already is not handed on.
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

MOST = 16 << 20  # characters of a block, about: rows may be long


@dataclass(frozen=True)
class Block:
    """Rows of a table that stand side by side; or, with ``rows`` = 0, the end of the table.

    Attributes:
        file: place of the table among those of the run.
        first: place of the first row in it, from 0; at the end how many rows there are.
        mark: see above; empty at the end.
        raw: the rows, pickled; empty where they have their verdicts already.
        error: why the table could not be read on, at its end.
    """

    file: int
    first: int
    rows: int
    mark: str = ""
    raw: bytes = b""
    error: str = ""


def blocks_of(
    files: Sequence[tuple[int, str]],
    run: str,
    size: int,
    done: frozenset[str] = frozenset(),
    limit: int | None = None,
) -> Iterator[Block]:
    """The blocks of some tables, and after those of each its end.

    Args:
        files: (place among all tables of the run, path or address).
        run: hash of all that decides a verdict besides the rows.
        size: most rows of a block.
        done: marks of blocks that need not be judged.
        limit: only the first rows of all together.
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
        yield Block(file, first, 0, error=why)


def _renamed(rows: Iterator[Raw], here: str, path: str) -> Iterator[Raw]:
    """Rows of a copy under the name of the original."""
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
    """The hash that a block is known by, 20 hex digits."""
    place = path if is_remote(path) else os.path.abspath(path)
    said: list[Any] = [run, place, first, [(raw.values, raw.error) for raw in rows]]
    # A pickle of equal rows may differ by what they share in memory; what they are written as does not.
    text = repr(said).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(text, digest_size=10).hexdigest()
