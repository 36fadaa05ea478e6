"""Paths into a row: ``outputs.answer``, ``messages.-1.content``."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mene.values.plain import plain

INDEX = re.compile(r"-?\d{1,9}")


def at(row: Any, path: str) -> Any:
    """Return the value at a path of keys and list positions (from 0; -1 is the last), separated by dots.

    A key may contain dots itself: the longest existing one is used. Objects and lists stored as JSON text (a CSV cell, a span's
    attribute) are parsed.

    Raises:
        LookupError: nothing is there; its arguments are the path as far as it exists, and the possible next keys.
    """
    value, keys, gone = row, path.split("."), 0
    while gone < len(keys):
        value = opened(value)
        if isinstance(value, Mapping):
            ends = range(len(keys), gone, -1)
            taken = next((end for end in ends if ".".join(keys[gone:end]) in value), None)
            if taken is None:
                raise LookupError(".".join(keys[:gone]), [str(key) for key in value])
            value, gone = value[".".join(keys[gone:taken])], taken
            continue
        items = value if isinstance(value, Sequence) and not isinstance(value, str | bytes) else ()
        if not INDEX.fullmatch(keys[gone]) or not -len(items) <= int(keys[gone]) < len(items):
            places = [f"0 to {len(items) - 1}"] if items else []
            raise LookupError(".".join(keys[:gone]), places)
        value, gone = items[int(keys[gone])], gone + 1
    return value


def found_at(row: Any, path: str) -> Any:
    """Return the value at a path, or None."""
    try:
        return at(row, path)
    except LookupError:
        return None


def opened(value: Any) -> Any:
    """Return a value as a plain Python object; JSON text of an object or list is parsed."""
    value = plain(value)
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            inner = json.loads(value)
        except (ValueError, RecursionError):
            return value
        return inner if isinstance(inner, dict | list) else value
    return value


def paths(row: Mapping[str, Any], most: int = 30) -> Iterator[str]:
    """Yield the paths of a row's values, including nested ones, for a message: ``id``, ``outputs.answer``."""
    shown = 0
    for name, value in row.items():
        inner = opened(value) if isinstance(value, Mapping | str) else None
        keys = [f"{name}.{key}" for key in inner] if isinstance(inner, Mapping) and inner else []
        for path in keys or [str(name)]:
            if shown == most:
                return
            yield path
            shown += 1
