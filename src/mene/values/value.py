"""Converting a value to text, the same for every source: JSON, CSV, Parquet, NumPy, Python.

A sample's fields are text. This file converts whatever a table or a program has instead: numbers, booleans, documents, chat
messages with tool calls, objects.
"""

from __future__ import annotations

import datetime
import decimal
import json
import math
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mene.errors import SampleError
from mene.text.fence import fence
from mene.values.listed import listed
from mene.values.one_turn import call_words, one_turn
from mene.values.plain import plain
from mene.values.talk import (
    CALLS,
    REASONING,
    RESULTS,
    TEXT_PARTS,
    UNSEEN,
    bare,
    calls_of,
    inner_call,
    is_message,
    is_talk,
    is_turn,
    kind_of,
    name_of_call,
    role,
    speaker,
    turns,
)

LONGEST_TEXT = 64 * 2**20  # characters of a field
DEEPEST = 20  # maximum nesting of lists and messages in a field
# Keys under which libraries store a document's text; the first non-empty one is used.
TEXT_KEYS = (
    "page_content", "pageContent", "content", "text", "document", "chunk", "passage", "snippet", "node",
)  # fmt: skip
# Keys of a tool's arguments.
GIVEN = ("arguments", "input", "args", "input_parameters", "inputParameters")
NUMBERS = (
    bool,
    int,
    float,
    decimal.Decimal,
    uuid.UUID,
    Path,
)  # what is written as Python writes it


def is_given(text: str | None, field: str) -> bool:
    """Return whether a field has a value. An empty response has one, since a model may answer nothing; an empty document has
    not.

    For all sources, ``""`` and an empty CSV cell are an empty text; null, NaN and a missing cell or column are no value.
    """
    return text is not None and (field.startswith("response") or bool(text.strip()))


def as_text(value: Any, field: str) -> str | None:
    """A field's value as text; None where there is no value.

    Lists are joined. Chat messages become a transcript with tool calls in brackets and tool results as separate turns (a
    model's
    reasoning is left out). Documents become their text, preceded by their other keys. Any other object, and a list of anything
    but text, becomes JSON. A ``context`` that is a list stored as text, as in CSV, is parsed first.

    Raises:
        SampleError: names the field: an infinite number, a lone surrogate, an image, or too deep nesting.
    """
    if value is None:
        return None
    if type(value) is str and not value.rstrip().endswith("]"):  # otherwise possibly a list
        return value if value.isascii() and len(value) <= LONGEST_TEXT else _checked(value, field)
    try:
        return _checked(_text(value, field, 0), field)
    except RecursionError:
        raise SampleError(f'field "{field}" is nested too deeply to be read; flatten it') from None


def _text(value: Any, field: str, level: int) -> str | None:
    if level > DEEPEST:
        raise SampleError(f'field "{field}" is nested too deeply: more than {DEEPEST} levels')
    value = plain(value)
    if value is None:
        return None
    if isinstance(value, str):
        found = listed(value)
        if found and (field == "context" or is_talk(turns(found))):
            return _list(found, field, level)
        return value
    if isinstance(value, float) and math.isinf(value):
        raise SampleError(f'field "{field}" is {value}, not text')
    if isinstance(value, bytes | bytearray):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError as error:
            raise SampleError(f'field "{field}" is bytes, not valid UTF-8: {error}') from None
    if isinstance(value, NUMBERS):
        return _number(value, field)
    if isinstance(value, datetime.date | datetime.time | datetime.timedelta):
        return str(value)
    if isinstance(value, Mapping):
        return _one(value, field, level)
    if isinstance(value, Sequence):
        return _list(value, field, level)
    raise SampleError(f'field "{field}" is of type {type(value).__name__}, not text')


def _checked(text: str | None, field: str) -> str | None:
    if text is not None and len(text) > LONGEST_TEXT:
        raise SampleError(
            f'field "{field}" has {len(text):,} characters, more than any judge reads; shorten it'
        )
    try:
        if text and not text.isascii():
            text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise SampleError(
            f'field "{field}" has a lone surrogate (half a character) at position {error.start}; '
            "it was probably cut in the middle of an emoji: re-export the row"
        ) from None
    return text


def _number(value: object, field: str) -> str:
    try:
        return str(value)
    except ValueError:  # more digits than Python converts
        raise SampleError(
            f'field "{field}" is a number of thousands of digits; write it as text'
        ) from None


def _one(value: Mapping[str, Any], field: str, level: int) -> str | None:
    """Convert a single object; a message with several turns is a conversation."""
    found = turns([value])
    if len(found) > 1:
        return _transcript(found, field, level)
    return _object(found[0], field, level)


def _list(values: Sequence[Any], field: str, level: int) -> str | None:
    items = turns(values)
    if is_talk(items):
        return _transcript(items, field, level)
    # Parts of a message, or documents. A list of anything else is an answer in JSON.
    texts = field == "context" or all(v is None or isinstance(v, str) or is_turn(v) for v in items)
    if not texts:
        return _json(items, field)
    parts = [_text(v, field, level + 1) for v in items]
    return "\n\n".join(p for p in parts if p)


def _transcript(messages: Sequence[Mapping[str, Any]], field: str, level: int) -> str | None:
    """Return a single message's text, or a longer conversation with the speakers' names."""
    said = [(m, _object(m, field, level + 1)) for m in messages]
    # Null, in messages too, is no value.
    if all(text is None and is_message(m) for m, text in said):
        return None
    spoken = [(m, text or "") for m, text in said if text or kind_of(m) not in REASONING]
    if len(spoken) == 1 and role(spoken[0][0]) in ("user", "assistant"):
        return spoken[0][1]
    roles = {role(m) for m, _ in spoken}
    return "\n\n".join(_turn(m, text, roles) for m, text in spoken)


def _turn(message: Mapping[str, Any], text: str, roles: set[str]) -> str:
    """Return a turn with its speaker; none of its lines looks like another turn. A result of several lines is fenced.

    Args:
        roles: of the transcript.
    """
    if role(message) == "tool" and len(text.splitlines()) > 1:
        return f"{speaker(message)}:\n{fence(text)}"
    return f"{speaker(message)}: {one_turn(text, roles)}"


def _object(value: Mapping[str, Any], field: str, level: int) -> str | None:
    kind = kind_of(value)
    if is_message(value):
        return _message(value, field, level)
    key = next((k for k in TEXT_KEYS if not _is_empty(value.get(k))), None)
    if kind in UNSEEN and key is None:
        raise SampleError(
            f'field "{field}" has a part of type {kind}, but mene judges only text; leave the part out, or describe it in words'
        )
    if kind in REASONING:
        return None
    if kind in CALLS:
        return _call(value, field)
    if kind in RESULTS:
        found = value.get("content", value.get("output"))
        return _text(found, field, level + 1)
    if kind == "refusal":
        return _text(value.get("refusal"), field, level + 1)
    is_part = kind in TEXT_PARTS
    beside = {k: v for k, v in value.items() if k != key and not _is_empty(v)}
    if is_part:
        del beside["type"]
    if key and (is_part or not beside) and field != "context":
        return _text(value[key], field, level + 1)
    if key and field == "context":
        return _document(_text(value[key], field, level + 1), beside, field)
    return _json(value, field)


def _message(message: Mapping[str, Any], field: str, level: int) -> str | None:
    """Return a message's text and its tool calls."""
    said = _text(message.get("content"), field, level + 1)
    refusal = _text(message.get("refusal"), field, level + 1)
    # LangChain stores Anthropic's calls twice: in the content, and under tool_calls.
    asked = [_call(c, field) for c in calls_of(message)]
    parts = [said, refusal, *(a for a in asked if a not in (said or ""))]
    wrong = bare(plain(message.get("error"))) if role(message) == "tool" else None
    if isinstance(wrong, Mapping) and wrong.get("message"):  # Inspect's
        parts.append(f"error: {_value(wrong['message'], field)}")
    found = [p for p in parts if p]
    return "\n\n".join(found) if found else said


def _call(call: Mapping[str, Any], field: str) -> str:
    """Return ``[calls get_weather({"city": "Paris"})]``, from any tool's format."""
    inner = inner_call(call)
    given = next((found for k in GIVEN if (found := plain(inner.get(k))) is not None), "")
    name = name_of_call(call) or "a tool"
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except (ValueError, RecursionError):
            # Written by the model as it likes, so possibly with another call in it.
            return call_words(name, _json(given, field) if "[calls " in given else given)
    return call_words(name, _json(given, field))


def _document(text: str | None, beside: Mapping[str, Any], field: str) -> str | None:
    """Return a document's text, preceded by its metadata: title, source, date."""
    known = dict(beside)
    for key in ("metadata", "meta"):
        inner = plain(known.get(key))
        if isinstance(inner, Mapping):
            del known[key]
            known |= {k: v for k, v in inner.items() if k not in known}
    lines = [f"{k}: {_value(v, field)}" for k, v in known.items() if not _is_empty(v)]
    return "\n".join(lines) + f"\n\n{text}" if lines else text


def _is_empty(value: Any) -> bool:
    value = plain(value)
    return value is None or (isinstance(value, str | Sequence | Mapping) and not value)


def _value(value: Any, field: str) -> str:
    value = plain(value)
    if isinstance(value, str):
        return value
    if isinstance(value, list) and len(value) > 16 and all(isinstance(v, float) for v in value):
        return f"[{len(value)} numbers]"  # an embedding, meaningless to a reader
    return _json(value, field)


def _json(value: Any, field: str) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, default=_for_json)
    except RecursionError:
        raise
    except (TypeError, ValueError, SampleError) as error:
        raise SampleError(f'field "{field}" cannot be written as JSON: {error}') from None


def _for_json(value: Any) -> Any:
    found = plain(value)
    if isinstance(found, bytes | bytearray):
        return found.decode("utf-8")
    return str(found) if found is value else found
