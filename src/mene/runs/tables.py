"""Reading tables of samples: JSONL, JSON, CSV, TSV and Parquet, plain or gzip, or standard input.

Rows are streamed. A bad row becomes one row with an error, and reading continues. Every error names the file, the line
and the field.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from mene.criterion import Criterion
from mene.errors import SampleError, UsageError
from mene.runs.columns import check_mapped, lacking
from mene.runs.formats import raw_rows
from mene.runs.raw import Raw
from mene.runs.source import shown
from mene.sample import FIELDS, Sample
from mene.text.visible import visible
from mene.values.fields import id_of, read_as


class Row(NamedTuple):
    """One row of a table: a sample, or why there is none.

    Attributes:
        number: from 0, counting good and bad rows, not blank lines.
        where: ``file, line 7``.
        sample: its id is the row's own or, without one, the row's number from 1.
        id: the same id, also of a bad row.
        columns: of a bad row, those that could be read.
        criterion: the one to judge it by; None where the caller decides.
        read_as: of a good row, (column, field) pairs where a field was found under another name without ``--map``.
    """

    number: int
    where: str
    sample: Sample | None
    error: str | None = None
    id: str = ""
    columns: tuple[str, ...] = ()
    read_as: tuple[tuple[str, str], ...] = ()
    criterion: Criterion | None = None


def live(rows: Iterator[Row], patience_s: float = 0.05) -> Iterator[Row | None]:
    """Yield rows as they come, and None whenever none has come for ``patience_s`` seconds.

    For a pipe with a slow writer: reading blocks, so a thread does it.
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
    criterion: Criterion | Iterable[Criterion] | None = None,
    fields: Collection[str] | None = None,
) -> Iterator[Row]:
    """Yield the rows of a table; with several criteria, each row once per criterion, one after the other.

    Args:
        path: a file, or ``-`` for standard input (JSONL, a JSON list, or CSV, detected from its beginning).
        names: mene's field -> the table's column, for columns with unknown names.
        criterion: one or several that will judge the rows. A row that lacks a needed field is bad for that criterion; fields
            that a criterion does not show are not checked.
        fields: fields that must be readable; default: all, or those that the criterion shows.

    Raises:
        UsageError: no such file, an unknown format, an empty table, a damaged file, one that exceeds the size limit, or a
            column of ``names`` that no row has.
    """
    number = -1
    if names:
        check_mapped(path, names, *lacking(path, tuple(names), names))
    asked = (criterion,) if criterion is None or isinstance(criterion, Criterion) else criterion
    views = [
        (one, fields if fields is not None else FIELDS if one is None else one.shown)
        for one in asked
    ]
    for number, raw in enumerate(raw_rows(path)):
        for view in views:
            yield row_of(number, raw, names, *view)
    if number < 0:
        raise UsageError(f"{shown(path)} has no rows to judge")


def row_of(
    number: int,
    raw: Raw,
    names: Mapping[str, str] | None,
    criterion: Criterion | None,
    fields: Collection[str],
    name: str | None = None,
) -> Row:
    """Return one raw row as a sample; arguments as for ``read_rows``.

    Args:
        name: id of a row without one; default: its number from 1.
    """
    name = name or str(number + 1)
    try:
        if raw.error is not None or raw.values is None:
            raise SampleError(str(raw.error))
        sample = Sample.from_row(raw.values, names, fields)
        if criterion is not None:
            criterion.check(sample)
    except SampleError as error:
        own = id_of(raw.values, names)
        here = () if raw.error is not None else tuple(map(str, raw.values or ()))
        where = f"{raw.where} (id {visible(own)})" if own else raw.where
        said = f"{where}: {error}"
        return Row(number, raw.where, None, said, own or name, here, criterion=criterion)
    told = tuple(read_as(raw.values, names, fields))
    if not sample.id:
        sample.id = name
    return Row(number, raw.where, sample, id=sample.id, read_as=told, criterion=criterion)
