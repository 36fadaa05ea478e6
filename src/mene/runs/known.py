"""An index of a ledger's lines by the key of their verdicts: offsets only, not the verdicts themselves."""

from __future__ import annotations

import hashlib
from collections import defaultdict, deque
from collections.abc import Iterator
from itertools import chain
from typing import NamedTuple

from mene.verdict import Verdict


class _Line(NamedTuple):
    """A line that counts: its row, the id's digest, and whether it may stay unchanged if no row asks for it."""

    offset: int
    row: int  # 0 = unknown, in a line of an earlier version
    name: int  # digest of the id
    revision: int
    settled: bool


class Known:
    """An index of lines by key. Of several lines for one verdict, only the last is indexed."""

    def __init__(self) -> None:
        self._lines: dict[int, _Line | _Alike] = {}  # few keys have several lines

    def add(self, offset: int, found: Verdict, of: str = "", settled: bool = False) -> int | None:
        """Add a line; ``of`` separates the lines of different judges. Return the offset of the line that it replaces, or
        None."""
        new = _Line(offset, found.row or 0, digest(found.id), found.revision, settled)
        key = digest(found.key, of)
        there = self._lines.get(key)
        if there is None:
            self._lines[key] = new
            return None
        if isinstance(there, _Line):
            self._lines[key] = there = _Alike([there])
        return there.add(new)

    def find(self, key: str, row: int, sample_id: str, of: str = "") -> int | None:
        """Return the offset of the line for a row: its own, else one with its id, else any with this key; None if absent."""
        if not self._lines:  # as in every new run
            return None
        there = self._lines.get(digest(key, of))
        if isinstance(there, _Alike):
            there = there.best(row, digest(sample_id))
        return None if there is None else there.offset

    def take(self, key: str, row: int, sample_id: str, of: str = "") -> int | None:
        """Like ``find``, but each line is returned only once."""
        found = self.find(key, row, sample_id, of)
        if found is not None:
            there = self._lines[digest(key, of)]
            if isinstance(there, _Line):
                del self._lines[digest(key, of)]
            else:
                del there.lines[found]
        return found

    def _left(self) -> Iterator[_Line]:
        for there in self._lines.values():
            yield from (there,) if isinstance(there, _Line) else there.lines.values()

    def unsettled(self) -> set[int]:
        """Return the offsets of lines that no row has taken and that are not yet marked as earlier ones."""
        return {line.offset for line in self._left() if not line.settled}

    def shift(self, start: int) -> None:
        """Adjust all offsets after the file lost this many bytes at its start."""
        for key, there in self._lines.items():
            lines = [there] if isinstance(there, _Line) else there.lines.values()
            self._lines[key] = _Alike([line._replace(offset=line.offset - start) for line in lines])


class _Alike:
    """Lines with the same key, from identical rows. There may be thousands, so every lookup takes constant time.

    Attributes:
        lines: offset -> line, of those not yet taken or replaced.
    """

    def __init__(self, lines: list[_Line]) -> None:
        self.lines: dict[int, _Line] = {}
        # (row, name), each None for any -> offsets in the order of the file, including lines that were removed since
        self._queues: defaultdict[tuple[int | None, int | None], deque[int]] = defaultdict(deque)
        for line in lines:
            self._put(line)

    def _put(self, line: _Line) -> None:
        self.lines[line.offset] = line
        own = (line.row, None) if line.row else (0, line.name)
        for fit in (own, (None, line.name), (None, None)):
            self._queues[fit].append(line.offset)

    def _fitting(self, row: int | None, name: int | None) -> Iterator[_Line]:
        queue = self._queues.get((row, name), deque())
        while queue and queue[0] not in self.lines:
            queue.popleft()
        return (self.lines[offset] for offset in queue if offset in self.lines)

    def best(self, row: int, name: int) -> _Line | None:
        """Return the line for a row; see ``Known.find``."""
        for fit in ((row, None), (None, name), (None, None)):
            if line := next(self._fitting(*fit), None):
                return line
        return None

    def add(self, new: _Line) -> int | None:
        """Add a line. Return the offset of the one it replaces: that of its row, or of its id where that has no row."""
        named = self._fitting(0, new.name)
        fitting = chain(self._fitting(new.row, None), named) if new.row else named
        old = next((line for line in fitting if line.revision < new.revision), None)
        if old is not None:
            del self.lines[old.offset]
        self._put(new)
        return None if old is None else old.offset


def digest(*parts: str) -> int:
    """Return a 64-bit hash of some texts."""
    text = "\0".join(parts).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")
