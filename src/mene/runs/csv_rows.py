"""The rows of a CSV file, each with the number of its first line; a broken row does not affect the others.

The standard library parses. Added here: finding the delimiter, and handling a quote that is never closed, which would
turn the rest of the file into one cell.
"""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from mene.errors import UsageError
from mene.runs.raw import Raw
from mene.runs.source import LONGEST_LINE, not_utf8

RETURN = (
    "\udd0d"  # stands for \r inside a cell while the line is parsed; no text that was read has it
)
LONE = re.compile(r"\r(?!\n)")
ENDS = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
DELIMITERS = ",;\t|"


@dataclass(frozen=True, slots=True)
class Record:
    """One row: its cells, or an error and the cells before it. ``line`` is the number of its first line, from 1."""

    line: int
    cells: list[str]
    error: str | None = None


def records(lines: Iterator[tuple[str, bool]], delimiter: str | None = None) -> Iterator[Record]:
    """Yield every row, including the header, without blank lines.

    Args:
        lines: each with its line ending, and whether it is complete; see ``source.lines``.
        delimiter: None = the most frequent of ``, ; tab |`` in the header, or the one in a first line ``sep=``.
    """
    csv.field_size_limit(LONGEST_LINE)  # the default of 128 kB is far below a long document
    waiting: deque[tuple[int, str, bool]] = deque()
    taken: list[tuple[int, str, bool]] = []
    numbered = ((n, line, whole) for n, (line, whole) in enumerate(_lines(lines), start=1))

    def feed() -> Iterator[str]:
        while True:
            found = waiting.popleft() if waiting else next(numbered, None)
            if found is None:
                return
            taken.append(found)
            if not found[2]:
                raise csv.Error(f"a line of more than {LONGEST_LINE // 2**20} MB")
            yield found[1]

    if delimiter is None:
        first = next(numbered, None)
        if first is None:
            return
        line = first[1].strip()
        if len(line) == 5 and line[:4].lower() == "sep=":  # as Excel writes it
            delimiter = line[4]
        else:
            delimiter = _delimiter(line)
            waiting.append(first)
    while True:
        reader = csv.reader(feed(), delimiter=delimiter, strict=True)
        while True:
            taken.clear()
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                before = _before_quotes(taken[0][1], delimiter)
                yield Record(taken[0][0], before, _reason(error, len(taken)))
                # The row is bad, but the lines after its first may be good rows.
                waiting.extendleft(reversed(taken[1:]))
                break
            if cells:
                yield Record(taken[0][0], [cell.replace(RETURN, "\r") for cell in cells])


def _before_quotes(line: str, delimiter: str) -> list[str]:
    """Return the cells before the first quote, often with the id; they are not affected by the broken quoting."""
    plain = line.partition('"')[0]
    return plain.split(delimiter)[:-1]


def csv_rows(read: Iterator[Record], name: str) -> Iterator[Raw]:
    """Yield every row as a mapping from column names.

    Raises:
        UsageError: as for ``header``.
    """
    found = header(next(read, None), name)
    for record in read:
        where = f"{name}, line {record.line}"
        extra = len(record.cells) - len(found)
        values = dict(zip(found, record.cells, strict=False))
        bad = next(((k, wrong) for k, v in values.items() if (wrong := not_utf8(v))), None)
        if bad:
            del values[bad[0]]
        if record.error:
            yield Raw(where, values, record.error)
        elif extra > 0 and any(record.cells[len(found) :]):
            cells = "1 more cell" if extra == 1 else f"{extra} more cells"
            yield Raw(where, values, f"{cells} than there are columns")
        elif bad:
            yield Raw(where, values, f'field "{bad[0]}" is {bad[1]}')
        else:
            yield Raw(where, values)


def header(record: Record | None, name: str) -> list[str]:
    """Return the names of the columns.

    Raises:
        UsageError: a name occurs twice, or the line cannot be parsed.
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


def _lines(lines: Iterator[tuple[str, bool]]) -> Iterator[tuple[str, bool]]:
    """Split lines at a lone ``\\r`` too where it ends them (old Macs); elsewhere it is a character of a cell."""
    old: bool | None = None
    for line, whole in lines:
        if "\r" not in line.removesuffix("\r\n"):
            old = bool(old)
            yield line, whole
            continue
        if old is None:  # in the header
            old = True
        if old:
            yield from ((part, whole) for part in ENDS.findall(line))
        else:
            yield LONE.sub(RETURN, line), whole


def _reason(error: csv.Error, lines: int) -> str:
    if lines > 1 or "unexpected end" in str(error):
        return "broken CSV: a quote that is opened here is never closed; write a quote inside a cell twice"
    if "expected after" in str(error):
        return "broken CSV: text behind a closing quote; write a quote inside a cell twice"
    return f"broken CSV: {error}"


def _delimiter(header: str) -> str:
    bare = "".join(header.split('"')[::2])  # the text outside quotes
    return max(DELIMITERS, key=bare.count)
