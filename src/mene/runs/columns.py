"""Which fields of a sample a table has columns for."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from mene.errors import UsageError, nearest
from mene.runs.formats import columns, raw_rows
from mene.runs.source import STDIN
from mene.values.chat_row import TALKS
from mene.values.fields import known_as
from mene.values.forms import form_of
from mene.values.listed import messages_of
from mene.values.path import paths
from mene.values.talk import is_talk, turns

SHOWN = 30  # maximum number of column names in a message


def lacking(
    path: str, fields: tuple[str, ...], names: Mapping[str, str] | None = None
) -> tuple[list[str], list[str]]:
    """Return the fields that no row of a file has, and the columns of the file.

    A JSON file is read only until no field is missing, usually one row.
    """
    found = columns(path)
    if found is not None and "response" in fields:
        first = next(iter(raw_rows(path)), None)
        found = [*found, *_talks(first.values if first and first.values else {})]
    if found is None:
        every: dict[str, None] = {}
        inner: dict[str, None] = {}
        for raw in raw_rows(path) if path != STDIN else ():
            every.update(dict.fromkeys(columns_of(raw.values or {})))
            if len(inner) < SHOWN:
                inner.update(dict.fromkeys(paths(raw.values or {})))
            if all(has_field(field, every, names) for field in fields):
                return [], list(every)
        found = list(every)
        lacks = [field for field in fields if not has_field(field, found, names)]
        if found and lacks:
            return lacks, list(inner)
        if not found:  # standard input, or only broken lines, each with its own error
            return [], found
    return [field for field in fields if not has_field(field, found, names)], found


def columns_of(values: Mapping[str, Any]) -> list[str]:
    """Return the columns of a row, and the conversation in it, if it has one under a question's name."""
    return [*map(str, values), *_talks(values)]


def _talks(values: Mapping[str, Any]) -> list[str]:
    """Return the column with a conversation under a question's name, as in Ragas: it holds the response too."""
    for name in ("user_input", "input", "prompt"):
        if (found := messages_of(values.get(name))) and is_talk(turns(found)):
            return [TALKS[0]]
    return []


def has_field(
    field: str, available: Collection[str], names: Mapping[str, str] | None = None
) -> bool:
    """Return whether ``field`` of a sample can be read from a table with these columns."""
    if names and field in names:
        return names[field] in available or names[field].split(".")[0] in available
    if (form := form_of(available)) is not None and field in form.reads:
        return True
    known = known_as(field, names) if form is None or field == "label" else []
    if field in ("instruction", "response"):  # both can come from a chat
        known = [*known, *TALKS, "choices", "body"]
    return any(name in available for name in known)


def check_mapped(
    path: str,
    names: Mapping[str, str],
    missing: Collection[str],
    available: Collection[str],
) -> None:
    """Check that no field is missing because ``--map`` names a column that does not exist.

    Args:
        missing, available: the results of ``lacking``.

    Raises:
        UsageError: a mapped column does not exist; the message lists the existing ones.
    """
    for field in missing:
        if column := names.get(field):
            raise UsageError(
                f'{path}: no column "{column}" (--map {field}={column}){nearest(column, available)}; the columns are '
                f"{listed(available)}"
            )


def listed(columns: Iterable[str]) -> str:
    """Return column names for a message, only the first ones of very many."""
    return ", ".join(" ".join(column.split()) for column in list(columns)[:SHOWN])
