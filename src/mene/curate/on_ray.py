"""``stream.py`` on Ray: tasks read files, and blocks of their rows are checked wherever a core is free.

Blocks return in the order of the files (``preserve_order``). Tasks also hash the benchmarks' texts and find near-duplicates.
The
index is put into the object store once and unpacked once per worker process; processes of one machine share its large arrays.
Every machine of a cluster needs mene, and the folder of raw sets under the same path. Only this machine needs the benchmarks.
"""

from __future__ import annotations

import pickle
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import ray
import ray.data
from ray.data import DataContext
from ray.exceptions import RayError

from mene.curate.clean.check import Check, Row
from mene.curate.clean.decontaminate import Hashed, Index, Text, hashed
from mene.curate.clean.unique import new
from mene.curate.raw.files import UNREADABLE, read_lines, unreadable
from mene.curate.raw.sources import Point, Source, find_source, source_path
from mene.errors import EngineError
from mene.runs.on_ray.cluster import cluster as cluster
from mene.runs.on_ray.cluster import said

BLOCK = 1 << 20  # bytes of lines checked in one task
SOME = 64  # lines that a reader passes on at once
READERS = 2  # files read in parallel
END = 0  # number of the record after a file's last line: an error, or nothing

_LINES = pa.schema([("source", pa.string()), ("number", pa.int64()), ("line", pa.string())])


class There:
    """See ``stream.Place``."""

    def index(self, texts: Iterable[Text]) -> Index:
        """See ``Place``: tasks hash texts in batches, which return in order."""
        return Index(_own(row) for rows in _in_order(_hashed, _batches(texts)) for row in rows)

    def stream(self, raw: Path, sources: Sequence[Source], check: Check) -> Ray:
        """See ``Place``."""
        return Ray(raw, sources, check)

    def fold(self, groups: Iterable[list[Point]]) -> Iterator[list[bool]]:
        """See ``Place``: one task per group."""
        return _in_order(new, groups)


def _in_order(do: Callable[[Any], Any], given: Iterable[Any]) -> Iterator[Any]:
    """Yield the tasks' results in order, with few in memory at once."""
    task = ray.remote(max_retries=3)(do)
    most = 2 * max(1, int(ray.cluster_resources().get("CPU", 1)))
    going: deque[Any] = deque()
    try:
        for one in given:
            if len(going) == most:
                yield ray.get(going.popleft())
            going.append(task.remote(one))
        while going:
            yield ray.get(going.popleft())
    except RayError as error:
        raise _failed(error) from None


def _batches(texts: Iterable[Text]) -> Iterator[list[Text]]:
    """Yield texts in batches of about ``BLOCK`` characters."""
    batch: list[Text] = []
    characters = 0
    for text in texts:
        batch.append(text)
        characters += len(text[2])
        if characters > BLOCK:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def _hashed(texts: list[Text]) -> list[Hashed]:
    return list(hashed(texts))


def _own(row: Hashed) -> Hashed:
    """Copy the arrays that an index keeps: those in a task's result vanish with Ray, while the index is used later."""
    return row if row.shingles is None else row._replace(shingles=row.shingles.copy())


class Ray:
    """All files in one pipeline: while one file's rows are used, the next ones are read and checked."""

    def __init__(self, raw: Path, sources: Sequence[Source], check: Check) -> None:
        self._raw = raw
        places = [
            {"source": source.name, "place": str(source_path(raw, source).absolute())}
            for source in sources
        ]
        context = DataContext.get_current().copy()
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        context.target_max_block_size = BLOCK
        context.execution_options.preserve_order = True
        with DataContext.current(context):
            # Readers reserve no core, or on a single core they and the checks would wait for each other.
            checked = (
                ray.data.from_items(places, override_num_blocks=len(places))
                .map_batches(
                    _lines,
                    batch_size=1,
                    batch_format="pyarrow",
                    num_cpus=0,
                    concurrency=min(READERS, len(places)),
                )
                .map_batches(
                    cast(Any, _checked),  # its declared type allows no further arguments
                    batch_size=None,
                    batch_format="pyarrow",
                    fn_kwargs={"held": [ray.put(check)]},
                )
            )
        self._rows = _rows(checked)

    def rows(self, source: Source) -> Iterator[Row]:
        """See ``Stream``."""
        for row in self._rows:
            if row.number != END:
                yield row
            elif row.broken:
                raise unreadable(source_path(self._raw, source), source.name, row.broken)
            else:
                return


def _rows(checked: ray.data.Dataset) -> Iterator[Row]:
    try:
        for block in checked.iter_rows():
            yield from pickle.loads(block["rows"])
    except RayError as error:
        raise _failed(error) from None


def _failed(error: Exception) -> EngineError:
    return EngineError(
        f"Ray failed ({said(error)}); every machine of the cluster needs this mene, and the data under the same path"
    )


def _lines(files: pa.Table) -> Iterator[pa.Table]:
    """Yield the lines of files, and after each file's last line one with the number ``END``."""
    for file in files.to_pylist():
        why = ""
        lines = enumerate(read_lines(Path(file["place"])), start=1)
        try:
            while some := list(islice(lines, SOME)):
                yield _table(file["source"], some)
        except FileNotFoundError:
            why = "not on every machine of the cluster"
        except UNREADABLE as error:
            why = str(error)
        yield _table(file["source"], [(END, why)])


def _table(source: str, lines: list[tuple[int, str]]) -> pa.Table:
    numbers, texts = zip(*lines, strict=True)
    return pa.table({"source": [source] * len(lines), "number": numbers, "line": texts}, _LINES)


def _checked(lines: pa.Table, held: list[Any]) -> pa.Table:
    """Return the results of a block of lines, pickled together."""
    check = _fetched(held[0])
    rows = [
        check(find_source(line["source"]), line["number"], line["line"])
        if line["number"] != END
        else Row(END, broken=line["line"])
        for line in lines.to_pylist()
    ]
    return pa.table({"rows": [pickle.dumps(rows)]})


@lru_cache(maxsize=1)
def _fetched(held: Any) -> Check:
    return ray.get(held)
