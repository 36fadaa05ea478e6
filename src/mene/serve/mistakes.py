"""Errors in a request's body for its author: where they are in the body, and what to write there."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel, ValidationError

from mene.errors import nearest
from mene.serve.door import Refused

MOST = 20  # errors that a response lists
LOOKED_AT = 200  # of pydantic's errors
# pydantic's type of error -> what is expected in its place.
KINDS = {
    "string_type": "a text", "dict_type": "an object", "model_type": "an object", "list_type": "a list",
    "bool_type": "true or false", "int_type": "a whole number", "float_type": "a number", "none_required": "null",
}  # fmt: skip


def refused_body(
    error: ValidationError, model: type[BaseModel], data: Any, *where: str | int
) -> Refused:
    """Return the response to a body that does not match its model.

    Args:
        data: the body, or the part of it that was read.
        where: path of that part in the body.
    """
    found = _mistakes(error, model, data)
    mistakes = [
        {"loc": ["body", *where, *place], "msg": said, "type": kind} for place, said, kind in found
    ]
    place, said, kind = found[0]
    at = ".".join(map(str, (*where, *place)))
    return Refused(422, f"{at}: {said}" if at else said, kind, mistakes=mistakes[:MOST])


def loaded(data: bytes) -> Any:
    """Return a body for ``refused_body``; None if it is not JSON."""
    try:
        return json.loads(data, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        return None


def _mistakes(
    error: ValidationError, model: type[BaseModel], data: Any
) -> list[tuple[tuple[str | int, ...], str, str]]:
    """Return place, message and kind of each error. For a union, pydantic lists the errors of every member."""
    found: dict[tuple[str | int, ...], tuple[list[str], str, bool]] = {}
    for one in error.errors(include_url=False)[:LOOKED_AT]:
        place = _place(one["loc"], data, one["type"])
        kind = one["type"]
        said, _, branch = found.setdefault(place, ([], kind, len(place) < len(one["loc"])))
        if (text := _said(one, model, place)) not in said:
            said.append(text)
        found[place] = said, kind, branch
    # If one member of the union was clearly meant, only its errors matter.
    deeper = list(found)
    kept = {
        place: one
        for place, one in found.items()
        if not (one[2] and any(len(o) > len(place) and o[: len(place)] == place for o in deeper))
    }
    return [(place, _together(said), kind) for place, (said, kind, _) in kept.items()]


def _place(loc: tuple[str | int, ...], data: Any, kind: str) -> tuple[str | int, ...]:
    """Return the path in the body, without pydantic's names for members of a union."""
    found = list[str | int]()
    for i, part in enumerate(loc):
        last = i == len(loc) - 1
        if isinstance(data, dict) and (part in data or (last and kind == "missing")):
            data = data.get(part)
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            data = data[part]
        else:
            continue
        found.append(part)
    return tuple(found)


def _said(one: Any, model: type[BaseModel], place: tuple[str | int, ...]) -> str:
    kind = one["type"]
    if kind in KINDS:
        return KINDS[kind]
    if kind == "extra_forbidden":
        near = nearest(str(place[-1]), model.model_fields) if len(place) == 1 else ""
        return f"no such key{near or '; leave it out'}"
    if kind == "missing":
        return "missing; add it"
    return one["msg"].removeprefix("Value error, ")


def _together(said: list[str]) -> str:
    kinds = [text for text in said if text in KINDS.values()]
    others = [text for text in said if text not in kinds]
    return "; ".join([*([f"must be {' or '.join(kinds)}"] if kinds else []), *others])
