"""Clients' JSON schemas: which parts llama.cpp's grammar enforces, and which it would silently ignore."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

from mene.serve.door import wrong

# Keywords that do not restrict the text, or that the grammar enforces.
KNOWN = frozenset(
    """$schema $id $ref $defs definitions title description default examples type properties required additionalProperties
    items prefixItems minItems maxItems anyOf oneOf allOf const enum format pattern minLength maxLength minimum maximum
    exclusiveMinimum exclusiveMaximum deprecated readOnly writeOnly $comment""".split()  # noqa: SIM905
)
MAPS = ("properties", "$defs", "definitions")
LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
ONES = ("items", "additionalProperties")
# A grammar repeats a rule to count, so a large number makes a large grammar.
LARGEST = 2000
COUNTS = ("minItems", "maxItems", "minLength", "maxLength")
OBJECT: dict[str, Any] = {"type": "object"}
# What Ragas (instructor) writes before the schema of the expected object.
BEFORE = "json_schema:"


def held_to(schema: dict[str, Any], *where: str | int) -> dict[str, Any]:
    """Return the schema for a grammar. Objects get no additional properties by default: otherwise a small model does not stop.

    Raises:
        Refused: the grammar would not enforce a part of the schema.
    """
    found = deepcopy(schema)
    _check(found, where)
    for part, _ in _parts(found, ()):
        if isinstance(part, dict) and part.get("properties"):
            part.setdefault("additionalProperties", False)
    return found


def breakers(schema: dict[str, Any]) -> list[str]:
    """Return texts after which a repetition is not penalised: those before an object's member or a list's item (unless the items
    are texts), since the same value may be right many times."""
    lists = [
        part["items"]
        for part, _ in _parts(schema, ())
        if isinstance(part, dict) and "items" in part
    ]
    alike = lists and all(_is_text_or_object(_meant(schema, one)) for one in lists)
    return ["{", "}", ":"] if alike else ["{", "}", ":", ","]


def _is_text_or_object(schema: Any) -> bool:
    if not isinstance(schema, dict) or "enum" in schema or "const" in schema:
        return False
    return schema.get("type") in ("string", "object")


def _meant(schema: dict[str, Any], part: Any) -> Any:
    """Return the target of a reference, or the part itself if it is not a reference."""
    names = str(part.get("$ref", "")).split("/")[1:] if isinstance(part, dict) else []
    for name in names:
        part = schema = schema.get(name) if isinstance(schema, dict) else None  # type: ignore[assignment]
    return part


def _check(schema: dict[str, Any], where: tuple[str | int, ...]) -> None:
    for part, path in _parts(schema, where):
        if not isinstance(part, dict):
            if not isinstance(part, bool):
                raise wrong("a schema is an object", *path)
            continue
        for key, value in part.items():
            if key not in KNOWN:
                raise wrong(f'"{key[:40]}" cannot be held to here; leave it out', *path, key[:40])
            if key == "$ref" and not str(value).startswith("#"):
                raise wrong("only references into the schema itself (#/…)", *path, key)
            if key in COUNTS and not (type(value) is int and 0 <= value <= LARGEST):
                raise wrong(f"give a whole number up to {LARGEST}", *path, key)


def _parts(
    schema: Any, where: tuple[str | int, ...]
) -> Iterator[tuple[Any, tuple[str | int, ...]]]:
    """Yield a schema and all schemas in it, each with its path."""
    left = [(schema, where)]
    while left:
        part, path = left.pop()
        yield part, path
        if not isinstance(part, dict):
            continue
        for key in MAPS:
            if isinstance(inner := part.get(key), dict):
                left += [(one, (*path, key, name)) for name, one in inner.items()]
        for key in LISTS:
            if isinstance(inner := part.get(key), list):
                left += [(one, (*path, key, i)) for i, one in enumerate(inner)]
        left += [(part[key], (*path, key)) for key in ONES if key in part]


def described(messages: list[Mapping[str, str]]) -> dict[str, Any]:
    """Return the schema of an object that a system message contains; if there is none, that of any object."""
    for message in messages:
        _, found, behind = message["content"].partition(BEFORE)
        if message["role"] != "system" or not found:
            continue
        try:
            schema, _ = json.JSONDecoder().raw_decode(behind.lstrip())
            schema = held_to(schema)
        except Exception:  # not a schema that can be enforced: use any object
            return OBJECT
        return schema if schema.get("type") == "object" else OBJECT
    return OBJECT
