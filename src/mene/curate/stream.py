"""The work of curation that can run in parallel: in this process, or by Ray on all cores of one machine or several.

* The texts of the benchmarks are hashed independently; their index is built in one place.
* Raw rows are read and checked in the order of their files. The check of a row (``clean/check.py``) needs no other row.
* Near-duplicates are searched for in each task separately.

What needs all rows (repeats, draws, counts) is done in ``run.py``, row by row, so both engines produce the same bytes.
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
        """Yield the rows of one set in the order of its file. Callers must request sets in the order in which they were listed.

        Raises:
            UsageError: the file is missing or damaged.
        """
        ...


class Place(Protocol):
    """What does the work: this process, or Ray."""

    def index(self, texts: Iterable[Text]) -> Index:
        """Return the index of the benchmarks' texts."""
        ...

    def stream(self, raw: Path, sources: Sequence[Source], check: Check) -> Stream:
        """Return a reader of the sets' rows.

        Args:
            raw: folder of the sets' files.
            sources: all sets, in the order in which they will be requested.
        """
        ...

    def fold(self, groups: Iterable[list[Point]]) -> Iterable[list[bool]]:
        """Return ``unique.new`` of independent groups, in their order."""
        ...


def require(engine: str) -> None:
    """Check early that rows can be read and checked here.

    Raises:
        UsageError: no such engine.
        ModelError: the engine, or the package that finds near-duplicates, is not installed.
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
    """Yield the ``Place`` of an engine (one of ``ENGINES``); what it started ends with the block."""
    if engine == "local":
        yield Here()
        return
    from mene.curate import on_ray

    with on_ray.cluster():
        yield on_ray.There()


class Here:
    """Works sequentially, in this process."""

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
    """Reads row by row, with one row in memory."""

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
