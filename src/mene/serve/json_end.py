"""Closing JSON that was cut off by the token limit: the longest valid JSON that it begins with. Nothing is invented."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

MOST = 10_000  # maximum number of references followed for one text
LITERALS = ("true", "false", "null")
BLANK = " \t\r\n"


@dataclass
class Open:
    """A list or an object that is not closed yet.

    Attributes:
        close: its closing bracket.
        whole: end of its last complete item or member; 0: there is none.
    """

    close: str
    whole: int = 0


def shortened(text: str, schema: dict[str, Any]) -> str | None:
    """Return a truncated text without its incomplete last item, member or sentence.

    Args:
        schema: that the text follows.

    Returns:
        JSON that follows the schema; None where that would require adding text.
    """
    holds = _check(schema)
    # A pattern for a complete sentence does not hold for its beginning.
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
    """Return a check whether a value follows a client's schema, as far as early closing may have broken it.

    Patterns are not checked: the grammar enforced them, and a client's regular expression may take for ever. References may
        branch
    without end, so only a limited number is followed.
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
        except Exception:  # e.g. a schema with a dangling reference
            return False

    return holds


def _candidates(text: str, breaks_off: bool) -> Iterator[str]:
    """Yield possible replacements, those that keep most complete items and members first."""
    stack, said = _opened(text)
    ends = [one.close for one in stack]
    for depth in range(len(stack), 0, -1):
        if whole := stack[depth - 1].whole:
            yield text[:whole] + "".join(reversed(ends[:depth]))
    if said and breaks_off:  # an incomplete string, perhaps inside an escape
        for less in range(7):
            yield text[: len(text) - less] + '"' + "".join(reversed(ends))


def _opened(text: str) -> tuple[list[Open], bool]:
    """Return what is open at the end of a text, the outermost first, and whether that is a string."""
    stack = list[Open]()
    key = False  # whether the next string is a key
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
            # A number at the very end may be incomplete.
            if place < len(text) or text[begin:place] in LITERALS:
                ended()
    return stack, False
