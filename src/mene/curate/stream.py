"""The work of curation that can be divided: in this process, or by Ray on all cores of a machine or many.

* The texts of the benchmarks are hashed, each by itself; their index is put together in one place.
* Raw rows are read and checked in the order of their files. What is done to a row (``clean/check.py``) needs no other row.
* Near-duplicates are looked for in each task by itself.

What needs all rows (repeats, draws, counts) is done in ``run.py``, one row after the other, so both engines end with the same
bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from mene.curate.clean import shingles
from mene.curate.clean.check import Check, Row
from mene.curate.clean.decontaminate import Index, Text, hashed
from mene.curate.clean.unique import new
from mene.curate.raw.files import UNREADABLE, read_lines, unreadable
from mene.curate.raw.sources import Point, Source, source_path
from mene.errors import ModelError, UsageError, nearest

ENGINES = ("local", "ray")


class Stream(Protocol):
    """Rows that are read and checked."""

    def rows(self, source: Source) -> Iterator[Row]:
        """The rows of one set in the order of its file. Sets are asked for in the order they were named in.

        Raises:
            UsageError: the file is missing or damaged.
        """
        ...


class Place(Protocol):
    """Where the work is done."""

    def index(self, texts: Iterable[Text]) -> Index:
        """The index of the benchmarks' texts."""
        ...

    def stream(self, raw: Path, sources: Sequence[Source], check: Check) -> Stream:
        """The rows of sets.

        Args:
            raw: folder of the sets' files.
            sources: all sets, in the order in which they will be asked for.
        """
        ...

    def fold(self, groups: Iterable[list[Point]]) -> Iterable[list[bool]]:
        """``unique.new`` of groups that know nothing of each other, in their order."""
        ...


def require(engine: str) -> None:
    """Say early that rows cannot be read and checked here.

    Raises:
        UsageError: no such engine.
        ModelError: the engine, or what finds near-duplicates, is not installed.
    """
    shingles.require()
    if engine not in ENGINES:
        raise UsageError(
            f'no engine "{engine}"{nearest(engine, ENGINES)}; it is {" or ".join(ENGINES)}'
        )
    if engine == "ray":
        from mene.runs.on_ray.cluster import prepare

        prepare()
        try:
            import mene.curate.on_ray  # noqa: F401
        except ImportError as error:
            raise ModelError(
                f'{error.name} is not installed; run: pip install "mene[ray]"'
            ) from None


@contextmanager
def opened(engine: str) -> Iterator[Place]:
    """Where an engine (one of ``ENGINES``) works; what it started ends with the block."""
    if engine == "local":
        yield Here()
        return
    from mene.curate import on_ray

    with on_ray.cluster():
        yield on_ray.There()


class Here:
    """One after the other, in this process."""

    def index(self, texts: Iterable[Text]) -> Index:
        """See ``Place``."""
        return Index(hashed(texts))

    def stream(self, raw: Path, sources: Sequence[Source], check: Check) -> Stream:
        """See ``Place``."""
        return Local(raw, check)

    def fold(self, groups: Iterable[list[Point]]) -> Iterable[list[bool]]:
        """See ``Place``."""
        return map(new, groups)


class Local:
    """One row after the other; one row is in memory."""

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
