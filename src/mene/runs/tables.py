"""Reading tables of samples: JSONL, JSON, CSV, TSV and Parquet, plain or gzip, or standard input.

Rows stream; one bad row is one row with an error, and the reading goes on. Every error names the
file, the line and the field.
"""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache
from io import TextIOWrapper
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from mene.criterion import Criterion
from mene.errors import SampleError, UsageError, nearest
from mene.runs.csv_rows import Record, records
from mene.runs.parquet_rows import parquet_columns, parquet_count, parquet_rows
from mene.runs.source import LONGEST_LINE, STDIN, lines, not_utf8, open_text, shown
from mene.sample import FIELDS, Sample, id_of, known_as, read_as

FORMATS = ("jsonl", "json", "csv", "tsv", "parquet")
LONGEST_LIST = 256 * 2**20  # characters of a JSON list, which is read whole


class Row(NamedTuple):
    """One row of a table: a sample, or why there is none.

    Attributes:
        number: from 0, counting good and bad rows, not blank lines.
        where: ``file, line 7``.
        sample: its id is the row's own or, without one, the row's number from 1.
        id: the same, of a bad row too.
        columns: of a bad row, as far as it could be read.
        read_as: of a good row, (column, field) where a field was read from a column of another name that nobody mapped.
    """

    number: int
    where: str
    sample: Sample | None
    error: str | None = None
    id: str = ""
    columns: tuple[str, ...] = ()
    read_as: tuple[tuple[str, str], ...] = ()


class _Raw(NamedTuple):
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


def read_rows(
    path: str,
    names: Mapping[str, str] | None = None,
    criterion: Criterion | None = None,
    fields: Collection[str] | None = None,
) -> Iterator[Row]:
    """Stream the rows of a table.

    Args:
        path: a file, or ``-`` for standard input (JSONL, a JSON list, or CSV; told by its start).
        names: mene's field -> the table's column, for columns no known tool uses.
        criterion: that the rows will be judged by. A row without what it needs is bad, and what it does not show may be
            anything.
        fields: those that must be readable; by default all, or those that the criterion shows.

    Raises:
        UsageError: no such file, an unknown format, an empty table, a file that is damaged or unpacks to gigabytes; a
            column of ``names`` that no row of the file has.
    """
    number = -1
    if names:
        check_mapped(path, names, *lacking(path, tuple(names), names))
    if fields is None:
        fields = FIELDS if criterion is None else criterion.shown
    for number, raw in enumerate(_raw_rows(path)):
        name = str(number + 1)
        try:
            if raw.values is None:
                raise SampleError(str(raw.error))
            sample = Sample.from_row(raw.values, names, fields)
            if criterion is not None:
                criterion.check(sample)
        except SampleError as error:
            own = id_of(raw.values, names)
            here = tuple(map(str, raw.values or ()))
            where = f"{raw.where} (id {own})" if own else raw.where
            yield Row(number, raw.where, None, f"{where}: {error}", own or name, here)
            continue
        told = tuple(read_as(raw.values, names, fields))
        if not sample.id:
            sample.id = name
        yield Row(number, raw.where, sample, id=sample.id, read_as=told)
    if number < 0:
        raise UsageError(f"{shown(path)} has no rows: nothing to judge")


def columns(path: str) -> list[str] | None:
    """Columns of a CSV, TSV or Parquet file; None where every row may have its own."""
    if path == STDIN:
        return None
    form = table_format(path)
    if form in ("csv", "tsv"):
        with open_text(path) as text:
            return _header(next(_records(text, form), None), path)
    if form == "parquet":
        return parquet_columns(path)
    return None


def lacking(
    path: str, fields: tuple[str, ...], names: Mapping[str, str] | None = None
) -> tuple[list[str], list[str]]:
    """The fields that no row of a file has, and the columns that there are.

    A JSON file is read up to the row behind which nothing is lacking: mostly the first.
    """
    found = columns(path)
    if found is None:
        every: dict[str, None] = {}
        for raw in _raw_rows(path) if path != STDIN else ():
            every.update(dict.fromkeys(map(str, raw.values or ())))
            if all(has_field(field, every, names) for field in fields):
                return [], list(every)
        found = list(every)
        if not found:  # standard input, or nothing but broken lines, each with its own error
            return [], found
    return [field for field in fields if not has_field(field, found, names)], found


def check_mapped(
    path: str,
    names: Mapping[str, str],
    missing: Collection[str],
    available: Collection[str],
) -> None:
    """See that no field is missing because ``--map`` names a column that is not there.

    Args:
        missing, available: what ``lacking`` found.

    Raises:
        UsageError: one is; says which columns there are.
    """
    for field in missing:
        if column := names.get(field):
            raise UsageError(
                f'{path}: no column "{column}" (--map {field}={column}){nearest(column, available)}; the columns are '
                f"{listed(available)}"
            )


def listed(columns: Iterable[str]) -> str:
    """Names of columns in a message, the first ones of very many."""
    return ", ".join(" ".join(column.split()) for column in list(columns)[:30])


def has_field(
    field: str, available: Collection[str], names: Mapping[str, str] | None = None
) -> bool:
    """Can ``field`` of a sample be read from a table with these columns?"""
    if names and field in names:
        return names[field] in available or names[field].split(".")[0] in available
    known = known_as(field, names)
    if field in ("instruction", "response"):  # of a chat
        known = [*known, "messages", "choices", "body"]
    return any(name in available for name in known)


def count_rows(path: str) -> int | None:
    """Number of rows, for a progress bar; None where it cannot be known beforehand."""
    if path == STDIN:
        return None
    form = table_format(path)
    if form == "parquet":
        return parquet_count(path)
    if form == "json":
        return None
    if form == "jsonl":
        with open_text(path) as text:
            return sum(1 for line, _ in lines(text) if not line.isspace())
    with open_text(path) as text:
        return max(sum(1 for _ in _records(text, form)) - 1, 0)


def table_format(path: str) -> str:
    """Format by the file's ending, ``.gz`` left out.

    Raises:
        UsageError: an ending mene does not know.
    """
    parts = [part.lower() for part in Path(path).name.split(".")[1:]]
    if parts and parts[-1] == "gz":
        parts.pop()
    form = {"ndjson": "jsonl", "pq": "parquet"}.get(parts[-1], parts[-1]) if parts else ""
    if form not in FORMATS:
        raise UsageError(
            f"{path}: cannot tell the format from the ending; mene reads .jsonl, .json, .csv, .tsv "
            "and .parquet, the first four also as .gz"
        )
    return form


def _raw_rows(path: str) -> Iterator[_Raw]:
    form = None if path == STDIN else table_format(path)
    if form == "parquet":
        for number, values in enumerate(parquet_rows(path), start=1):
            yield _Raw(f"{path}, row {number}", values)
        return
    with open_text(path) as text:
        yield from _parse(text, form, shown(path))


def _parse(text: TextIOWrapper, form: str | None, name: str) -> Iterator[_Raw]:
    read = lines(text)
    skipped: list[tuple[str, bool]] = []
    if form is None:  # told by its start
        for line, whole in read:
            skipped.append((line, whole))
            if start := line.lstrip()[:1]:
                form = {"{": "jsonl", "[": "json"}.get(start, "csv")
                break
    if form == "json":  # which may be one long line
        start = "".join(line for line, _ in skipped)
        yield from _json_list(start + text.read(LONGEST_LIST + 1), name)
        return
    read = chain(skipped, read)
    if form == "jsonl":
        yield from _json_lines(read, name)
    elif form is not None:
        yield from _csv_rows(records(read, "\t" if form == "tsv" else None), name)


def _json_lines(read: Iterable[tuple[str, bool]], name: str) -> Iterator[_Raw]:
    for number, (line, whole) in enumerate(read, start=1):
        where = f"{name}, line {number}"
        if line.isspace():
            continue
        if not whole:
            yield _Raw(where, None, f"a line of more than {LONGEST_LINE // 2**20} MB")
        elif (bad := not_utf8(line)) is not None:
            yield _Raw(where, None, bad)
        else:
            yield _object(line, where)


def _json_list(text: str, name: str) -> Iterator[_Raw]:
    if len(text) > LONGEST_LIST:
        raise UsageError(
            f"{name}: a JSON list of more than {LONGEST_LIST // 2**20} MB, which is read whole; write one object a "
            "line (.jsonl)"
        )
    if (bad := not_utf8(text)) is not None:
        raise UsageError(f"{name}: {bad}")
    try:
        data = _loads(text)
    except json.JSONDecodeError as error:
        raise UsageError(
            f"{name}, line {error.lineno}: not valid JSON: {error.msg.removesuffix(' at')} "
            f"at character {error.colno}; one object a "
            "line is .jsonl"
        ) from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{name}: not valid JSON: {_deep(error)}") from None
    if not isinstance(data, list):
        raise UsageError(f"{name}: expected a JSON list of objects")
    for number, value in enumerate(data, start=1):
        where = f"{name}, item {number}"
        good = isinstance(value, dict)
        yield _Raw(where, value if good else None, None if good else "not a JSON object")


def _object(text: str, where: str) -> _Raw:
    try:
        value = _loads(text)
    except json.JSONDecodeError as error:
        return _Raw(
            where,
            None,
            f"broken JSON: {error.msg.removesuffix(' at')} at character {error.pos + 1}",
        )
    except (ValueError, RecursionError) as error:
        return _Raw(where, None, f"broken JSON: {_deep(error)}")
    if not isinstance(value, dict):
        return _Raw(where, None, f"expected a JSON object, found {type(value).__name__}")
    return _Raw(where, value)


def _deep(error: Exception) -> str:
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)


def _loads(text: str) -> Any:
    if text.startswith("\ufeff"):
        return json.loads(text)  # says what is wrong with it
    return _decoder().decode(text)


@cache  # `json.loads` would make one for every row
def _decoder() -> json.JSONDecoder:
    return json.JSONDecoder(object_pairs_hook=_unique)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))
        raise ValueError(f'the key "{twice}" stands twice in an object')
    return found


def _records(text: TextIOWrapper, form: str) -> Iterator[Record]:
    return records(lines(text), "\t" if form == "tsv" else None)


def _header(record: Record | None, name: str) -> list[str]:
    """Names of the columns.

    Raises:
        UsageError: one stands twice, or the line cannot be read.
    """
    if record is None:
        return []
    where = f"{name}, line {record.line}"
    wrong = record.error or not_utf8("".join(record.cells))
    if wrong:
        raise UsageError(f"{where}: the names of the columns: {wrong}")
    found = [cell.strip() for cell in record.cells]
    twice = [column for n, column in enumerate(found) if column and column in found[:n]]
    if twice:
        raise UsageError(f'{where}: two columns are called "{twice[0]}"; rename one')
    return found


def _csv_rows(read: Iterator[Record], name: str) -> Iterator[_Raw]:
    found = _header(next(read, None), name)
    for record in read:
        where = f"{name}, line {record.line}"
        extra = len(record.cells) - len(found)
        if record.error:
            yield _Raw(where, None, record.error)
        elif extra > 0 and any(record.cells[len(found) :]):
            yield _Raw(where, None, f"{extra} more cells than there are columns")
        else:
            values = dict(zip(found, record.cells, strict=False))
            bad = next(((k, wrong) for k, v in values.items() if (wrong := not_utf8(v))), None)
            if bad:
                yield _Raw(where, None, f'field "{bad[0]}" is {bad[1]}')
            else:
                yield _Raw(where, values)
