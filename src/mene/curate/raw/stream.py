"""Raw rows, read and checked, in the order of their files: on this machine, or by Ray Data on all its cores or many.

What is done to a row here needs no other row: its points, whether they fit, whether a benchmark has them. What does
need the others (repeats, draws, counts) is done in ``run.py``, one row after the other, so both engines end
with the same bytes.
"""

from __future__ import annotations

import importlib
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mene.curate.clean.decontaminate import Index, Known, Leak, leak_of
from mene.curate.mix import fits
from mene.curate.raw.files import UNREADABLE, read_lines, unreadable
from mene.curate.raw.sources import Point, Source, read_row, source_path
from mene.errors import ModelError, SampleError, UsageError, nearest

ENGINES = ("local", "ray")
# Of a cluster that we start, set before Ray is imported: it listens on the loopback interface alone (which is
# what the first name does, on any system), to whom has the token; and sends no reports.
ALONE = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_USAGE_STATS_ENABLED": "0",
}


@dataclass(frozen=True, slots=True)
class Row:
    """What became of one line of a file.

    Attributes:
        number: of the line, from 1.
        read: points that the row gave; the other fields say what became of them.
        too_long: points with more text than the recipe allows.
        leaks: of the points that are in a benchmark.
        points: the others, that go on.
        broken: why the row gave no points.
    """

    number: int
    read: int = 0
    too_long: int = 0
    leaks: tuple[Leak, ...] = ()
    points: tuple[Point, ...] = ()
    broken: str | None = None


class Check:
    """Everything that is done to a row by itself.

    Args:
        index: of the benchmarks.
        longest: characters of a sample's text.
        seed: of the wordings drawn.
    """

    def __init__(self, index: Index, longest: int, seed: int) -> None:
        self._index = index
        self._longest = longest
        self._seed = seed
        self._known: Known = {}

    def __call__(self, source: Source, number: int, line: str) -> Row:
        try:
            found = read_row(source, line, self._seed)
        except SampleError as error:
            return Row(number, broken=str(error))
        return self.of(found, number)

    def of(self, found: Sequence[Point], number: int) -> Row:
        """What becomes of points, wherever they come from."""
        fitting = [point for point in found if fits(point, self._longest)]
        leaks, points = [], []
        for point in fitting:
            leak = leak_of(point, self._index, self._known)
            if leak is None:
                points.append(point)
            else:
                leaks.append(leak)
        return Row(number, len(found), len(found) - len(fitting), tuple(leaks), tuple(points))


class Stream(Protocol):
    """Where rows are read and checked."""

    def rows(self, source: Source) -> Iterator[Row]:
        """The rows of one set in the order of its file. Sets are asked for in the order they were named in.

        Raises:
            UsageError: the file is missing or damaged.
        """
        ...


def require(engine: str) -> None:
    """Say early that an engine is not to be had.

    Raises:
        UsageError: no such engine.
        ModelError: it is not installed.
    """
    if engine not in ENGINES:
        raise UsageError(
            f'no engine "{engine}"{nearest(engine, ENGINES)}; it is {" or ".join(ENGINES)}'
        )
    if engine == "ray":
        if not os.environ.get("RAY_ADDRESS"):
            for name, value in ALONE.items():
                os.environ.setdefault(name, value)
            if not os.environ.get("RAY_AUTH_TOKEN_PATH"):
                os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        try:
            importlib.import_module("mene.curate.raw.on_ray")
        except ImportError as error:
            raise ModelError(
                f'{error.name} is not installed; run: pip install "mene[ray]"'
            ) from None


@contextmanager
def opened(engine: str, raw: Path, sources: Sequence[Source], check: Check) -> Iterator[Stream]:
    """The stream of an engine; what it started ends with the block.

    Args:
        engine: one of ``ENGINES``.
        raw: folder of the sets' files.
        sources: all sets, in the order in which they will be asked for.
    """
    if engine == "local":
        yield Local(raw, check)
        return
    from mene.curate.raw import on_ray

    with on_ray.cluster():
        yield on_ray.Ray(raw, sources, check)


class Local:
    """One row after the other, in this process; one row is in memory."""

    def __init__(self, raw: Path, check: Check) -> None:
        self._raw = raw
        self._check = check

    def rows(self, source: Source) -> Iterator[Row]:
        """See ``Stream``."""
        path = source_path(self._raw, source)
        try:
            for number, line in enumerate(read_lines(path), start=1):
                yield self._check(source, number, line)
        except UNREADABLE as error:
            raise unreadable(path, source.name, error) from None
