"""Where the verdicts of a folder of parts stand, by the content of their rows: what a run looks up before it asks a model.

Three sorted arrays, 16 bytes a verdict, which every worker of a machine reads in the same memory. The content (what a judge may
be shown) is known before a prompt is rendered; whether a verdict found by it answers what is asked now, its key decides, in the
worker's ledger.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from mene.errors import LedgerError
from mene.runs.parts.part import contents_in, parse_part, read_lines_of
from mene.verdict import Verdict

ALIKE = 32  # verdicts of one content that are looked at: those of several prompts, or of rows that are alike
KEPT = 8  # parts whose lines are at hand


@dataclass(frozen=True)
class Index:
    """Contents in order, and of each the part and the line that its verdict stands in.

    Attributes:
        paths: of the parts.
        contents: 64 bits of each content (uint64); ``parts`` and ``lines`` (uint32) where it stands.
    """

    paths: tuple[str, ...]
    contents: np.ndarray
    parts: np.ndarray
    lines: np.ndarray

    def find(self, content: str, most: int = ALIKE) -> list[tuple[int, int]]:
        """(part, line) of the verdicts on a content, ``most`` of them."""
        digest = np.uint64(int(content, 16))
        start, end = (int(np.searchsorted(self.contents, digest, s)) for s in ("left", "right"))
        end = min(end, start + most)
        return [(int(self.parts[at]), int(self.lines[at])) for at in range(start, end)]

    def verdicts(self, contents: Iterable[str], most: int = ALIKE) -> Iterator[Verdict]:
        """The verdicts on these contents, each once; ``most`` of one content."""
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
                continue  # gone or cut since it was indexed: its rows are judged again


@lru_cache(maxsize=KEPT)
def _lines_of(path: str) -> list[bytes]:
    return read_lines_of(path)


def contents_of(path: str) -> np.ndarray:
    """Of every line of a part the 64 bits of its content (uint64); 0 where it has none.

    Raises:
        LedgerError: the part is damaged.
    """
    return np.array([int(content or "0", 16) for content in contents_in(path)], np.uint64)


def index_of(paths: Sequence[str], contents: Sequence[np.ndarray]) -> Index:
    """The index over parts, from ``contents_of`` each."""
    every = np.concatenate([np.zeros(0, np.uint64), *contents])
    parts = np.repeat(np.arange(len(paths), dtype=np.uint32), [len(own) for own in contents])
    lines = np.concatenate(
        [np.zeros(0, np.uint32), *(np.arange(len(own), dtype=np.uint32) for own in contents)]
    )
    order = np.argsort(every, kind="stable")
    order = order[every[order] != 0]
    return Index(tuple(paths), every[order], parts[order], lines[order])
