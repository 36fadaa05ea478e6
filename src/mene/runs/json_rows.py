"""The rows of JSON: one object per line, a list of objects, or an export that contains such a list."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

from mene.errors import UsageError
from mene.runs.exports import is_beside, rows_of
from mene.runs.raw import Raw
from mene.runs.source import LONGEST_LINE, not_utf8

LONGEST_LIST = 256 * 2**20  # characters of a JSON list, which must fit in memory


def json_lines(read: Iterable[tuple[str, bool]], name: str) -> Iterator[Raw]:
    """Yield the rows of JSON Lines; a broken one does not affect the others.

    Args:
        read: lines with their endings, and whether each is complete; see ``source.lines``.
        name: of the file, in messages.
    """
    for number, (line, whole) in enumerate(read, start=1):
        where = f"{name}, line {number}"
        if line.isspace():
            continue
        if not whole:
            yield Raw(where, None, f"a line of more than {LONGEST_LINE // 2**20} MB")
        elif (bad := not_utf8(line)) is not None:
            yield Raw(where, None, bad)
        else:
            raw = json_object(line, where)
            if raw.values is None or not is_beside(raw.values):
                yield raw


def json_list(text: str, name: str) -> Iterator[Raw]:
    """Yield the rows of a JSON list, or of an export that is a single object.

    Raises:
        UsageError: it is neither, or too long to be read into memory.
    """
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
    if isinstance(data, dict):
        if (found := rows_of(data)) is None:
            keys = ", ".join(list(data)[:12]) or "no keys"
            raise UsageError(
                f"{name}: expected a JSON list of objects, or an export of a tool that mene knows (docs/rows.md); this is an "
                f"object with {keys}"
            )
        for place, row in found:
            yield Raw(f"{name}, {place}" if place else name, row)
        return
    if not isinstance(data, list):
        raise UsageError(f"{name}: expected a JSON list of objects")
    for number, value in enumerate(data, start=1):
        where = f"{name}, item {number}"
        good = isinstance(value, dict)
        yield Raw(where, value if good else None, None if good else "not a JSON object")


def json_object(text: str, where: str) -> Raw:
    """Return the row that a JSON text contains."""
    try:
        value = _loads(text)
    except json.JSONDecodeError as error:
        return Raw(
            where,
            None,
            f"broken JSON: {error.msg.removesuffix(' at')} at character {error.pos + 1}",
        )
    except (ValueError, RecursionError) as error:
        return Raw(where, None, f"broken JSON: {_deep(error)}")
    if not isinstance(value, dict):
        return Raw(where, None, f"expected a JSON object, found {type(value).__name__}")
    return Raw(where, value)


def _deep(error: Exception) -> str:
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)


def _loads(text: str) -> Any:
    if text.startswith("\ufeff"):
        return json.loads(text)  # for its error message
    return _decoder().decode(text)


@cache  # `json.loads` would make one per row
def _decoder() -> json.JSONDecoder:
    return json.JSONDecoder(object_pairs_hook=_unique)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))
        raise ValueError(f'the key "{twice}" is given twice in one object')
    return found
