"""The beginning of a table in a store, to look at its columns before all of it is read elsewhere."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mene.runs.formats import table_format
from mene.runs.parts.remote import reached, told
from mene.runs.parts.storage import local_copy

SMALL = 64 << 20  # bytes of an object that is copied as a whole
HEAD = 1 << 20  # bytes of a larger one
ROWS = 20  # of a Parquet file


@contextmanager
def beginning(path: str) -> Iterator[str | None]:
    """Yield a local file with the beginning of a remote table; None where only all of a large table would tell its columns.

    Raises:
        UsageError: it cannot be read.
    """
    with told(path):
        files, inner = reached(path)
        size = files.get_file_info(inner).size
    form = table_format(path)
    if size is not None and size <= SMALL:
        with local_copy(path) as copy:
            yield copy
    elif form == "parquet" or (form in ("csv", "tsv") and not path.lower().endswith(".gz")):
        with tempfile.TemporaryDirectory(prefix="mene-") as folder:
            copy = os.path.join(folder, path.rpartition("/")[2])
            with told(path):
                (_first_rows if form == "parquet" else _first_lines)(files, inner, copy)
            yield copy
    else:
        yield None


def _first_rows(files: Any, inner: str, copy: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with files.open_input_file(inner) as file:
        table = pq.ParquetFile(file)
        batch = next(table.iter_batches(batch_size=ROWS), None)
        some = [] if batch is None else [batch]
        pq.write_table(pa.Table.from_batches(some, table.schema_arrow), copy)


def _first_lines(files: Any, inner: str, copy: str) -> None:
    with files.open_input_stream(inner, compression=None) as file:
        head = file.read(HEAD)
    with open(copy, "wb") as to:
        to.write(head[: head.rfind(b"\n") + 1] or head)
