"""The rows of a Parquet file, read in batches, with its errors as mene's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mene.errors import UsageError
from mene.values.frame_rows import dicts

ROWS = 1024  # in memory at once


def parquet_columns(path: str) -> list[str]:
    """Return the names of the columns."""
    with _errors(path):
        return _frame(path).collect_schema().names()


def parquet_count(path: str) -> int:
    """Return the number of rows, from the file's metadata."""
    import polars

    with _errors(path):
        return int(_frame(path).select(polars.len()).collect().item())


def parquet_rows(path: str) -> Iterator[dict[str, Any]]:
    """Yield every row.

    Raises:
        UsageError: not Parquet, or damaged.
    """
    with _errors(path):
        frame = _frame(path)
    start = 0
    while True:
        with _errors(path, start):
            rows = dicts(frame.slice(start, ROWS).collect())
        yield from rows
        if len(rows) < ROWS:
            return
        start += ROWS


def _frame(path: str) -> Any:
    import polars

    return polars.scan_parquet(path, glob=False)


@contextmanager
def _errors(path: str, start: int = 0) -> Iterator[None]:
    import polars

    try:
        yield
    except (
        OSError,
        ValueError,
        polars.exceptions.PolarsError,
        polars.exceptions.PanicException,
    ) as error:
        reason = getattr(error, "strerror", None) or str(error).partition("\n")[0]
        where = f" from row {start + 1} on" if start else ""
        raise UsageError(f"{path}: cannot read the Parquet file{where}: {reason}") from None
