"""Raw rows, read and checked, in the order of their files: on this machine, or by Ray Data on all its cores or many.

What is done to a row here (``clean/check.py``) needs no other row. What does need the others (repeats, draws, counts)
is done in ``run.py``, one row after the other, so both engines end with the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from mene.curate.clean import shingles
from mene.curate.clean.check import Check, Row
from mene.curate.raw.files import UNREADABLE, read_lines, unreadable
from mene.curate.raw.sources import Source, source_path
from mene.errors import ModelError, UsageError, nearest

ENGINES = ("local", "ray")


class Stream(Protocol):
    """Where rows are read and checked."""

    def rows(self, source: Source) -> Iterator[Row]:
        """The rows of one set in the order of its file. Sets are asked for in the order they were named in.

        Raises:
            UsageError: the file is missing or damaged.
        """
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
    from mene.curate import on_ray

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
