"""One reading of a value, whichever door it comes in by: JSON, CSV, Parquet, NumPy, Python.

A sample's fields are text. Here whatever a table or a program has in their place becomes text: numbers, booleans,
documents, chat messages with their calls of tools, objects.
"""

from __future__ import annotations

import ast
import dataclasses
import datetime
import decimal
import enum
import io
import json
import math
import re
import tokenize
import uuid
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mene.errors import SampleError

# How a list of texts or objects begins, and two texts in it with no comma between them.
LISTED = re.compile(r"""\[\s*['"{]""")
BESIDE = re.compile(r"""['"]\s+['"]""")
LONGEST = 1_000_000  # characters of a list as Python writes it
LONGEST_TEXT = 64 * 2**20  # characters of a field
DEEPEST = 20  # levels of lists and messages in a field
# Keys under which libraries keep a document's text; the first that holds some is it.
TEXT_KEYS = (
    "page_content", "pageContent", "content", "text", "document", "chunk", "passage", "snippet", "node",
)  # fmt: skip
SPEAKERS = ("user", "human", "assistant", "ai", "system", "developer", "tool", "function")
TEXT_PARTS = ("text", "input_text", "output_text")
REASONING = ("thinking", "redacted_thinking", "reasoning", "reasoning_content")
NUMBERS = (
    bool,
    int,
    float,
    decimal.Decimal,
    uuid.UUID,
    Path,
)  # what is written as Python writes it
CALLS = ("tool_use", "server_tool_use", "function_call", "tool_call", "custom_tool_call")
RESULTS = ("tool_result", "function_call_output", "custom_tool_call_output")
UNSEEN = (
    "image", "image_url", "input_image", "input_audio", "audio", "video", "video_url", "file", "input_file",
)  # fmt: skip


def plain(value: Any) -> Any:
    """The value in Python's own terms, its outer level: NumPy, pandas, dates, enums, models and dataclasses.

    What says that there is no value (NaN, NaT, NA) is None: a table has one of them where JSON has null.
    """
    if type(value) in (str, int, bool, dict, list, type(None)):
        return value
    if isinstance(value, enum.Enum):
        return plain(value.value)
    if type(value).__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(value, float):
        return None if math.isnan(value) else float(value)
    if isinstance(value, decimal.Decimal):
        return None if value.is_nan() else value
    if isinstance(value, str):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    for name in ("model_dump", "_asdict", "to_dict", "tolist", "to_list"):
        method = getattr(value, name, None)
        if callable(method) and not isinstance(value, type):
            if type(value).__name__ in ("float16", "float32"):  # 0.1, and not 0.10000000149
                return plain(float(str(value)))
            try:
                found = method()
            except Exception as error:
                raise SampleError(f"a {type(value).__name__} cannot be read: {error}") from None
            return found if isinstance(found, dict | list | int | str) else plain(found)
    return value


def is_given(text: str | None, field: str) -> bool:
    """Is there something to show? An empty response is, since a model may say nothing; an empty document is none.

    The rule of all doors: ``""`` and an empty cell of CSV are an empty text; null, NaN and a cell or column that is not there
    are no value.
    """
    return text is not None and (field.startswith("response") or bool(text.strip()))


def as_text(value: Any, field: str) -> str | None:
    """A field's value as text; None where there is no value.

    Lists are joined, chat messages become a transcript with the calls of tools in brackets (a model's reasoning is left
    out), documents their text with the keys beside it in front. Any other object, and a list of anything but text, is
    written as JSON. A ``context`` that is a list written as text, as CSV has it, is read as that list.

    Raises:
        SampleError: names the field: an infinite number, half a character, an image, levels without end.
    """
    if value is None:
        return None
    if type(value) is str and not value.rstrip().endswith("]"):  # else it may be a list
        return value if value.isascii() and len(value) <= LONGEST_TEXT else _checked(value, field)
    try:
        return _checked(_text(value, field, 0), field)
    except RecursionError:
        raise SampleError(f'field "{field}" is nested too deeply to be read') from None


def _text(value: Any, field: str, level: int) -> str | None:
    if level > DEEPEST:
        raise SampleError(f'field "{field}" is nested too deeply: more than {DEEPEST} levels')
    value = plain(value)
    if value is None:
        return None
    if isinstance(value, str):
        listed = _listed(value)
        if listed and (field == "context" or _is_talk(listed)):
            return _list(listed, field, level)
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
        return _object(value, field, level)
    if isinstance(value, Sequence):
        return _list(value, field, level)
    raise SampleError(f'field "{field}" is of type {type(value).__name__}, not text')


def _checked(text: str | None, field: str) -> str | None:
    if text is not None and len(text) > LONGEST_TEXT:
        raise SampleError(
            f'field "{field}" has {len(text):,} characters, more than any judge reads'
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
    except ValueError:  # more digits than Python writes
        raise SampleError(f'field "{field}" is a number of thousands of digits, not text') from None


def _listed(text: str) -> list[Any] | None:
    """The list of documents or messages that a text is, as JSON or as Python writes it; None where it is none."""
    bare = text.strip()
    if not (LISTED.match(bare) and bare.endswith("]")):
        return None
    try:
        found = json.loads(bare)
    except (ValueError, RecursionError):
        if len(bare) > LONGEST:
            return None
        try:
            with warnings.catch_warnings(action="ignore"):
                found = ast.literal_eval(bare)
        except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
            return None
        if BESIDE.search(bare) and _has_neighbours(bare):
            return None
    if isinstance(found, list) and found and all(isinstance(v, str | dict) for v in found):
        return found
    return None


def _has_neighbours(text: str) -> bool:
    """Are there two texts with no comma between them? NumPy writes ``['a' 'b']``, which Python reads as one text."""
    before = tokenize.NL
    try:
        for token in tokenize.generate_tokens(io.StringIO(text, newline="").readline):
            if token.type == before == tokenize.STRING:
                return True
            if token.type != tokenize.NL:
                before = token.type
    except (tokenize.TokenError, SyntaxError):
        return True
    return False


def messages_of(value: Any) -> list[Any]:
    """A list of chat messages, also where it is written as text (CSV); else an empty one."""
    value = plain(value)
    if isinstance(value, str):
        value = _listed(value)
    return list(value) if isinstance(value, Sequence) and not isinstance(value, bytes) else []


def _list(values: Sequence[Any], field: str, level: int) -> str | None:
    items = [plain(v) for v in values]
    if _is_talk(items):
        return _transcript(items, field, level)
    # Parts of one message, or documents. A list of anything else is an answer in the form of JSON.
    texts = field == "context" or all(v is None or isinstance(v, str) or _is_turn(v) for v in items)
    if not texts:
        return _json(items, field)
    parts = [_text(v, field, level + 1) for v in items]
    return "\n\n".join(p for p in parts if p)


def _is_talk(values: Sequence[Any]) -> bool:
    """Are these messages?"""
    return any(map(_is_message, values)) and all(map(_is_turn, values))


def _is_message(value: Any) -> bool:
    """Does somebody say something?"""
    if not isinstance(value, Mapping):
        return False
    says = any(key in value for key in ("content", "tool_calls", "function_call", "refusal"))
    return says and ("role" in value or _kind(value) in SPEAKERS)


def _is_turn(value: Any) -> bool:
    """Is it a message, or a part of one?"""
    known = (*TEXT_PARTS, *REASONING, *CALLS, *RESULTS, *UNSEEN, "refusal")
    return _is_message(value) or (isinstance(value, Mapping) and _kind(value) in known)


def _kind(value: Mapping[str, Any]) -> str:
    kind = value.get("type")
    return kind if isinstance(kind, str) else ""


def role(message: Mapping[str, Any]) -> str:
    """Who speaks: ``user``, ``assistant``, ``system``, ``tool``."""
    kind, said = _kind(message), message.get("role")
    if not isinstance(said, str) or not said:
        said = kind if kind in SPEAKERS else "tool" if kind in RESULTS else ""
        said = "assistant" if kind in (*CALLS, *REASONING) else said or "user"
    return {"human": "user", "ai": "assistant"}.get(said, said)


def _transcript(messages: Sequence[Mapping[str, Any]], field: str, level: int) -> str | None:
    """One message is its own text; a longer talk is written with the speakers' names."""
    said = [(m, _object(m, field, level + 1)) for m in messages]
    if all(text is None and _is_message(m) for m, text in said):  # null, in a talk as anywhere
        return None
    turns = [(m, text or "") for m, text in said if text or _kind(m) not in REASONING]
    if len(turns) == 1 and role(turns[0][0]) in ("user", "assistant"):
        return turns[0][1]
    return "\n\n".join(f"{_speaker(m)}: {text}" for m, text in turns)


def _speaker(message: Mapping[str, Any]) -> str:
    name = message.get("name")
    said = role(message).capitalize()
    return f"{said} ({name})" if isinstance(name, str) and name and _is_message(message) else said


def _object(value: Mapping[str, Any], field: str, level: int) -> str | None:
    kind = _kind(value)
    if _is_message(value):
        return _message(value, field, level)
    key = next((k for k in TEXT_KEYS if not _is_empty(value.get(k))), None)
    if kind in UNSEEN and key is None:
        raise SampleError(f'field "{field}" has a part of type {kind}, and mene judges text alone')
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
    """What a message says, and the tools it calls."""
    said = _text(message.get("content"), field, level + 1)
    refusal = _text(message.get("refusal"), field, level + 1)
    calls = plain(message.get("tool_calls"))
    calls = list(calls) if isinstance(calls, Sequence) and not isinstance(calls, str) else []
    calls = [plain(c) for c in (*calls, message.get("function_call"))]
    # LangChain has Anthropic's calls twice: as parts of the content, and under tool_calls.
    asked = [_call(c, field) for c in calls if isinstance(c, Mapping)]
    parts = [said, refusal, *(a for a in asked if a not in (said or ""))]
    found = [p for p in parts if p]
    return "\n\n".join(found) if found else said


def _call(call: Mapping[str, Any], field: str) -> str:
    """``[calls get_weather({"city": "Paris"})]``, of OpenAI's, Anthropic's and LangChain's forms."""
    parts = (plain(call.get(key)) for key in ("function", "custom"))
    inner = next((found for found in parts if isinstance(found, Mapping)), call)
    given = next((inner[k] for k in ("arguments", "input", "args") if inner.get(k) is not None), "")
    name = inner.get("name")
    name = name if isinstance(name, str) and name else "a tool"
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except (ValueError, RecursionError):
            return f"[calls {name}({given})]"
    return f"[calls {name}({_json(given, field)})]"


def _document(text: str | None, beside: Mapping[str, Any], field: str) -> str | None:
    """A document's text, and in front of it what is known of it: title, source, date."""
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
        return f"[{len(value)} numbers]"  # a vector, which says nothing to a reader
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
