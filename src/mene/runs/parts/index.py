"""An index from the content of rows to the verdicts in a folder of parts, searched before a model is asked.

Three sorted arrays, 16 bytes per verdict, in memory that all workers of a machine share. A row's content hash (of all that a
judge may see) is known before its prompt is rendered. Whether a verdict that was found answers the current request is decided
by its key, in the worker's ledger.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from mene.errors import LedgerError
from mene.runs.parts.part import contents_in, parse_part, read_lines_of, torn
from mene.verdict import Verdict

ALIKE = 32  # verdicts tried per content: from several prompts, or from identical rows
KEPT = 8  # parts whose lines are cached


@dataclass(frozen=True)
class Index:
    """Sorted content hashes, each with the part and the line of its verdict.

    Attributes:
        paths: of the parts.
        contents: 64 bits of each content hash (uint64); ``parts`` and ``lines`` (uint32) locate the verdict.
    """

    paths: tuple[str, ...]
    contents: np.ndarray
    parts: np.ndarray
    lines: np.ndarray

    def find(self, content: str, most: int = ALIKE) -> list[tuple[int, int]]:
        """Return (part, line) of at most ``most`` verdicts on a content."""
        digest = np.uint64(int(content, 16))
        start, end = (int(np.searchsorted(self.contents, digest, s)) for s in ("left", "right"))
        end = min(end, start + most)
        return [(int(self.parts[at]), int(self.lines[at])) for at in range(start, end)]

    def verdicts(self, contents: Iterable[str], most: int = ALIKE) -> Iterator[Verdict]:
        """Yield each verdict on these contents once, at most ``most`` per content."""
        wanted: defaultdict[int, set[int]] = defaultdict(set)
        for content in contents:
            for part, line in self.find(content, most) if content else ():
                wanted[part].add(line)
        for part, lines in wanted.items():
            path = self.paths[part]
            try:
                there = _lines_of(path)
                yield from parse_part(path, [there[line] for line in sorted(lines)])
            except (LedgerError, IndexError):
                continue  # deleted or truncated since it was indexed: its rows are judged again


@lru_cache(maxsize=KEPT)
def _lines_of(path: str) -> list[bytes]:
    return read_lines_of(path)


def contents_of(path: str, lines: int | None = None) -> np.ndarray:
    """Return 64 bits of the content hash of every line of a part (uint64); 0 where there is none.

    Args:
        lines: the number of verdicts that it must have, where known.

    Raises:
        LedgerError: the part is damaged.
    """
    found = contents_in(path)
    if lines and len(found) != lines:
        raise LedgerError(torn(path, f"{len(found)} verdicts, and {lines} are due"))
    return np.array([int(content or "0", 16) for content in found], np.uint64)


def index_of(paths: Sequence[str], contents: Sequence[np.ndarray]) -> Index:
    """Return the index over parts, from each part's ``contents_of``."""
    every = np.concatenate([np.zeros(0, np.uint64), *contents])
    parts = np.repeat(np.arange(len(paths), dtype=np.uint32), [len(own) for own in contents])
    lines = np.concatenate(
        [np.zeros(0, np.uint32), *(np.arange(len(own), dtype=np.uint32) for own in contents)]
    )
    order = np.argsort(every, kind="stable")
    order = order[every[order] != 0]
    return Index(tuple(paths), every[order], parts[order], lines[order])
