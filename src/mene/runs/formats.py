"""File formats of tables: which one a file has, its rows, its columns, and the number of rows."""

from __future__ import annotations

from collections.abc import Iterator
from io import TextIOWrapper
from itertools import chain
from pathlib import Path

from mene.errors import UsageError
from mene.runs.csv_rows import Record, csv_rows, header, records
from mene.runs.inspect_rows import inspect_count, inspect_rows
from mene.runs.json_rows import LONGEST_LIST, json_lines, json_list
from mene.runs.parquet_rows import parquet_columns, parquet_count, parquet_rows
from mene.runs.raw import Raw
from mene.runs.source import STDIN, lines, open_text, shown

FORMATS = ("jsonl", "json", "csv", "tsv", "parquet", "eval")


def table_format(path: str) -> str:
    """Return the format by the file's ending, ignoring ``.gz``.

    Raises:
        UsageError: an unknown ending.
    """
    parts = [part.lower() for part in Path(path).name.split(".")[1:]]
    if parts and parts[-1] == "gz":
        parts.pop()
    form = {"ndjson": "jsonl", "pq": "parquet"}.get(parts[-1], parts[-1]) if parts else ""
    if form not in FORMATS:
        raise UsageError(
            f"{path}: cannot tell the format from the ending; mene reads .jsonl, .json, .csv, .tsv, "
            ".parquet and .eval (Inspect), the first four also as .gz"
        )
    return form


def raw_rows(path: str) -> Iterator[Raw]:
    """Yield the rows of a file or of standard input, whose format is detected from its beginning.

    Raises:
        UsageError: no such file, an unknown format, damaged.
    """
    form = None if path == STDIN else table_format(path)
    if form == "parquet":
        for number, values in enumerate(parquet_rows(path), start=1):
            yield Raw(f"{path}, row {number}", values)
        return
    if form == "eval":
        yield from inspect_rows(path)
        return
    with open_text(path) as text:
        yield from _parse(text, form, shown(path))


def _parse(text: TextIOWrapper, form: str | None, name: str) -> Iterator[Raw]:
    read = lines(text)
    skipped: list[tuple[str, bool]] = []
    if form is None:  # detect it from the beginning
        for line, whole in read:
            skipped.append((line, whole))
            if start := line.lstrip()[:1]:
                form = {"{": "jsonl", "[": "json"}.get(start, "csv")
                if line.strip() == "{":  # an object over several lines: an export
                    form = "json"
                break
    if form == "json":  # possibly one long line
        start = "".join(line for line, _ in skipped)
        yield from json_list(start + text.read(LONGEST_LIST + 1), name)
        return
    read = chain(skipped, read)
    if form == "jsonl":
        yield from json_lines(read, name)
    elif form is not None:
        yield from csv_rows(records(read, "\t" if form == "tsv" else None), name)


def columns(path: str) -> list[str] | None:
    """Return the columns of a CSV, TSV or Parquet file; None where every row may have its own."""
    if path == STDIN:
        return None
    form = table_format(path)
    if form in ("csv", "tsv"):
        with open_text(path) as text:
            return header(next(_records(text, form), None), path)
    if form == "parquet":
        return parquet_columns(path)
    return None


def count_rows(path: str) -> int | None:
    """Return the number of rows, for a progress bar; None where it is unknown before reading."""
    if path == STDIN:
        return None
    form = table_format(path)
    if form == "parquet":
        return parquet_count(path)
    if form == "json":
        return None
    if form == "eval":
        return inspect_count(path)
    if form == "jsonl":
        with open_text(path) as text:
            read = lines(text)
            first = next(read, ("", True))
            if first[0].startswith('{"spec"'):  # an OpenAI evals log, in which few lines are rows
                return sum(1 for _ in json_lines(chain([first], read), path))
            return sum(1 for line, _ in chain([first], read) if line and not line.isspace())
    with open_text(path) as text:
        return max(sum(1 for _ in _records(text, form)) - 1, 0)


def _records(text: TextIOWrapper, form: str) -> Iterator[Record]:
    return records(lines(text), "\t" if form == "tsv" else None)
