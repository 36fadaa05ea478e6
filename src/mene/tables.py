"""Reading tables of samples: JSONL, JSON, CSV, TSV and Parquet, plain or gzip, or standard input.

Rows stream; one bad row is one row with an error, and the reading goes on. Every error names the
file, the line and the field.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import queue
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NoReturn, cast

from mene.errors import SampleError, UsageError
from mene.sample import ALIASES, Sample

STDIN = "-"
FORMATS = ("jsonl", "json", "csv", "tsv", "parquet")
PARQUET_ROWS = 1024


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table: a sample, or why there is none.

    Attributes:
        number: from 0, counting good and bad rows, not blank lines.
        where: ``file, line 7``.
        sample: its id is the row's own or, without one, the row's number from 1.
    """

    number: int
    where: str
    sample: Sample | None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class _Raw:
    where: str
    values: Mapping[str, Any] | None
    error: str | None = None


def live(rows: Iterator[Row], patience_s: float = 0.05) -> Iterator[Row | None]:
    """The rows as they come, and None whenever none has come for ``patience_s`` seconds.

    For a pipe that somebody writes to by and by: reading it blocks, so a thread does that.
    """
    came: queue.Queue[Row | BaseException | None] = queue.Queue(maxsize=1024)

    def read() -> None:
        try:
            for row in rows:
                came.put(row)
            came.put(None)
        except BaseException as error:
            came.put(error)

    threading.Thread(target=read, name="mene-stdin", daemon=True).start()
    while True:
        try:
            row = came.get(timeout=patience_s)
        except queue.Empty:
            yield None
            continue
        if row is None:
            return
        if isinstance(row, BaseException):
            raise row
        yield row


def read_rows(path: str, names: Mapping[str, str] | None = None) -> Iterator[Row]:
    """Stream the rows of a table.

    Args:
        path: a file, or ``-`` for standard input (JSONL, a JSON list, or CSV; told by its start).
        names: mene's field -> the table's column, for columns no known tool uses.

    Raises:
        UsageError: no such file, an unknown format, an empty table, a CSV without its columns.
    """
    number = -1
    for number, raw in enumerate(_raw_rows(path)):
        if raw.values is None:
            yield Row(number, raw.where, None, f"{raw.where}: {raw.error}")
            continue
        try:
            sample = Sample.from_row(raw.values, names)
        except SampleError as error:
            yield Row(number, raw.where, None, f"{raw.where}: {error}")
            continue
        if not sample.id:
            sample = sample.model_copy(update={"id": str(number + 1)})
        yield Row(number, raw.where, sample)
    if number < 0:
        raise UsageError(f"{_shown(path)} has no rows: nothing to judge")


def columns(path: str) -> list[str] | None:
    """Columns of a CSV, TSV or Parquet file; None where every row may have its own."""
    if path == STDIN:
        return None
    form, packed = table_format(path)
    if form in ("csv", "tsv"):
        with _open_bytes(path, packed) as raw, _as_text(raw) as text:
            return list(csv.DictReader(text, delimiter=_delimiter(form)).fieldnames or [])
    if form == "parquet":
        return _parquet(path).collect_schema().names()
    return None


def has_field(field: str, available: list[str], names: Mapping[str, str] | None = None) -> bool:
    """Can ``field`` of a sample be read from a table with these columns?"""
    wanted = (names[field],) if names and field in names else ALIASES[field]
    return any(name in available for name in wanted)


def count_rows(path: str) -> int | None:
    """Number of rows, for a progress bar; None where it cannot be known beforehand."""
    if path == STDIN:
        return None
    form, packed = table_format(path)
    if form == "parquet":
        import polars

        return int(_parquet(path).select(polars.len()).collect().item())
    if form == "json":
        return None
    with _open_bytes(path, packed) as raw:
        if form == "jsonl":
            return sum(1 for line in raw if not line.isspace())
        with _as_text(raw) as text:
            return max(sum(1 for _ in csv.reader(text, delimiter=_delimiter(form))) - 1, 0)


def table_format(path: str) -> tuple[str, bool]:
    """Format and whether it is packed, by the file's ending.

    Raises:
        UsageError: an ending mene does not know.
    """
    parts = [part.lower() for part in Path(path).name.split(".")[1:]]
    packed = bool(parts) and parts[-1] == "gz"
    form = parts[-2] if packed and len(parts) > 1 else parts[-1] if parts else ""
    form = {"ndjson": "jsonl", "pq": "parquet"}.get(form, form)
    if form not in FORMATS:
        raise UsageError(
            f"{path}: cannot tell the format from the ending; mene reads .jsonl, .json, .csv, .tsv "
            "and .parquet, the first four also as .gz"
        )
    return form, packed


def _raw_rows(path: str) -> Iterator[_Raw]:
    shown = _shown(path)
    if path == STDIN:
        # On the file itself: a reader over sys.stdin's own buffer waits until that is full.
        stream = io.BufferedReader(getattr(sys.stdin.buffer, "raw", sys.stdin.buffer))  # type: ignore[arg-type]
        start = stream.peek(4096).lstrip()[:1]
        form = {b"{": "jsonl", b"[": "json", b"": "jsonl"}.get(start, "csv")
        yield from _parse(stream, form, shown)
        return
    form, packed = table_format(path)
    if form == "parquet":
        yield from _parquet_rows(path)
        return
    with _open_bytes(path, packed) as stream:
        try:
            yield from _parse(stream, form, shown)
        except (gzip.BadGzipFile, EOFError) as error:
            raise UsageError(f"{path}: damaged gzip file: {error}") from None


def _parse(stream: IO[bytes], form: str, shown: str) -> Iterator[_Raw]:
    if form == "jsonl":
        yield from _json_lines(stream, shown)
    elif form == "json":
        yield from _json_list(stream, shown)
    else:
        with _as_text(stream) as text:
            yield from _csv_rows(text, form, shown)


def _json_lines(stream: IO[bytes], shown: str) -> Iterator[_Raw]:
    for number, line in enumerate(stream, start=1):
        where = f"{shown}, line {number}"
        if line.isspace():
            continue
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            bad = line[error.start]
            yield _Raw(where, None, f"not valid UTF-8 (byte 0x{bad:02x} at {error.start})")
            continue
        yield _object(text, where)


def _json_list(stream: IO[bytes], shown: str) -> Iterator[_Raw]:
    try:
        data = _loads(stream.read().decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{shown}: not valid JSON: {error}; one object a line is .jsonl") from None
    if not isinstance(data, list):
        raise UsageError(f"{shown}: expected a JSON list of objects")
    for number, value in enumerate(data, start=1):
        where = f"{shown}, item {number}"
        good = isinstance(value, dict)
        yield _Raw(where, value if good else None, None if good else "not a JSON object")


def _object(text: str, where: str) -> _Raw:
    try:
        value = _loads(text)
    except json.JSONDecodeError as error:
        return _Raw(where, None, f"broken JSON: {error.msg} at character {error.pos + 1}")
    except (ValueError, RecursionError) as error:
        return _Raw(where, None, f"broken JSON: {error}")
    if not isinstance(value, dict):
        return _Raw(where, None, f"expected a JSON object, found {type(value).__name__}")
    return _Raw(where, value)


def _loads(text: str) -> Any:
    return json.loads(text, parse_constant=_no_constant)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value; write null or a number")


def _csv_rows(text: IO[str], form: str, shown: str) -> Iterator[_Raw]:
    csv.field_size_limit(sys.maxsize)  # the default of 128 kB is far below a long document
    reader = csv.DictReader(text, delimiter=_delimiter(form))
    while True:
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield _Raw(f"{shown}, line {reader.line_num}", None, f"broken CSV: {error}")
            continue
        where = f"{shown}, line {reader.line_num}"
        extra = values.pop(None, None)  # type: ignore[call-overload]
        if extra is not None:
            yield _Raw(where, None, f"{len(extra)} more cells than there are columns")
            continue
        bad = [k for k, v in values.items() if v and any("\udc80" <= c <= "\udcff" for c in v)]
        if bad:
            yield _Raw(where, None, f'field "{bad[0]}" is not valid UTF-8')
            continue
        yield _Raw(where, {k: v for k, v in values.items() if v != ""})


def _parquet(path: str) -> Any:
    import polars

    try:
        frame = polars.scan_parquet(path)
        frame.collect_schema()
    except (OSError, polars.exceptions.PolarsError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f"{path}: cannot read the Parquet file: {reason}") from None
    return frame


def _parquet_rows(path: str) -> Iterator[_Raw]:
    frame = _parquet(path)
    start = 0
    while True:
        rows = frame.slice(start, PARQUET_ROWS).collect().to_dicts()
        for number, values in enumerate(rows, start=start + 1):
            yield _Raw(f"{path}, row {number}", values)
        if len(rows) < PARQUET_ROWS:
            return
        start += PARQUET_ROWS


def _open_bytes(path: str, packed: bool) -> IO[bytes]:
    try:
        return cast(IO[bytes], gzip.open(path)) if packed else open(path, "rb")
    except OSError as error:
        raise UsageError(f"{path}: cannot read: {error.strerror}") from None


def _as_text(stream: IO[bytes]) -> io.TextIOWrapper:
    # Bytes that are not UTF-8 become lone surrogates, which the row's error then names.
    return io.TextIOWrapper(stream, "utf-8-sig", errors="surrogateescape", newline="")


def _delimiter(form: str) -> str:
    return "\t" if form == "tsv" else ","


def _shown(path: str) -> str:
    return "standard input" if path == STDIN else path
