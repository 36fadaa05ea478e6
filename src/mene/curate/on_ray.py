"""``stream.py`` by Ray Data: files are read by tasks, and what they read is checked in blocks wherever a core is free.

Blocks come back in the order of the files (``preserve_order``). The benchmarks' index is put into the object store
once and unpacked once by every worker process. Every machine of a cluster needs mene, and the folder of
raw sets under the same path.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
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
from mene.curate.raw.files import UNREADABLE, read_lines, unreadable
from mene.curate.raw.sources import Source, find_source, source_path
from mene.errors import EngineError
from mene.runs.on_ray.cluster import cluster as cluster
from mene.runs.on_ray.cluster import said

BLOCK = 1 << 20  # bytes of lines that are checked in one task
SOME = 64  # lines that a reader hands on at once
READERS = 2  # files read at once; a file is read from its beginning to its end
END = 0  # number of what follows a file's last line: why it could not be read on, or nothing

_LINES = pa.schema([("source", pa.string()), ("number", pa.int64()), ("line", pa.string())])


class Ray:
    """All files in one pipeline: while the rows of one are used, the next ones are read and checked."""

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
            # A reader takes no core from the checks: on one of a single core they would wait for each other.
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
                    cast(Any, _checked),  # its declared type knows of no further arguments
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
        raise EngineError(
            f"Ray failed ({said(error)}); every machine of the cluster needs this mene, and the data under the "
            "same path"
        ) from None


def _lines(files: pa.Table) -> Iterator[pa.Table]:
    """The lines of files, and after the last one of each a line with the number ``END``."""
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
    """What became of a block of lines, as one pickle."""
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
