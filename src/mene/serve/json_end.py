"""JSON that was cut off where its tokens ended: the longest whole JSON that it begins with. Nothing is made up for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

MOST = 10_000  # references that are followed for one text
LITERALS = ("true", "false", "null")
BLANK = " \t\r\n"


@dataclass
class Open:
    """A list or an object that has begun.

    Attributes:
        close: what ends it.
        whole: where its last item or member that is whole ends; 0: there is none.
    """

    close: str
    whole: int = 0


def shortened(text: str, schema: dict[str, Any]) -> str | None:
    """A text that was cut off, without the item, member or end of a sentence that was being written.

    Args:
        schema: what it was held to.

    Returns:
        JSON that holds to the schema; None where that would take more than was written.
    """
    holds = _check(schema)
    # What a pattern says of a whole sentence is not true of its beginning.
    breaks_off = not any(f'"{key}"' in json.dumps(schema) for key in ("pattern", "format"))
    for candidate in _candidates(text, breaks_off):
        try:
            found = json.loads(candidate)
        except (ValueError, RecursionError):
            continue
        if holds(found):
            return candidate
    return None


def _check(schema: dict[str, Any]) -> Callable[[Any], bool]:
    """Does a value hold to a schema of a client, as far as closing it early may have changed that?

    Patterns are left out: the grammar has kept them, and a regular expression of a client may take for ever. So may references
    that lead to two others each; of these, only so many are followed.
    """
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend

    followed = 0

    def follow(*how: Any) -> Iterator[Any]:
        nonlocal followed
        followed += 1
        if followed > MOST:
            raise RecursionError
        yield from Draft202012Validator.VALIDATORS["$ref"](*how) or ()

    limited = extend(Draft202012Validator, {"pattern": None, "$ref": follow})

    def holds(value: Any) -> bool:
        try:
            return limited(schema).is_valid(value)
        except Exception:  # a schema that refers to nothing, say
            return False

    return holds


def _candidates(text: str, breaks_off: bool) -> Iterator[str]:
    """What could stand in its place; what keeps most of whole items and members comes first."""
    stack, said = _opened(text)
    ends = [one.close for one in stack]
    for depth in range(len(stack), 0, -1):
        if whole := stack[depth - 1].whole:
            yield text[:whole] + "".join(reversed(ends[:depth]))
    if said and breaks_off:  # a sentence that breaks off; in the middle of an escape, say
        for less in range(7):
            yield text[: len(text) - less] + '"' + "".join(reversed(ends))


def _opened(text: str) -> tuple[list[Open], bool]:
    """What is open where a text ends, the outermost first; and whether that is a string."""
    stack = list[Open]()
    key = False  # the next string is a key, and not a value
    place = 0

    def ended() -> None:
        if stack:
            stack[-1].whole = place

    while place < len(text):
        sign = text[place]
        place += 1
        if sign in "{[":
            stack.append(Open("}" if sign == "{" else "]"))
            key = sign == "{"
        elif sign in "}]":
            if stack:
                stack.pop()
            ended()
        elif sign == ",":
            key = bool(stack) and stack[-1].close == "}"
        elif sign == ":":
            key = False
        elif sign == '"':
            while place < len(text) and text[place] != '"':
                place += 2 if text[place] == "\\" else 1
            if place >= len(text):
                return stack, not key
            place += 1
            if not key:
                ended()
        elif sign not in BLANK:
            begin = place - 1
            while place < len(text) and text[place] not in ",]}" + BLANK:
                place += 1
            # A number at the very end may have had more digits.
            if place < len(text) or text[begin:place] in LITERALS:
                ended()
    return stack, False
