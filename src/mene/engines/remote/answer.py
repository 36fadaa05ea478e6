"""A server's answer in one common form.

Servers differ in where they put a model's thought (in the text, in a separate field, in parts), in how they report that an
answer was cut or withheld, and in what they count. This file resolves the differences; the code that reads labels and
critiques sees an ``Answer``. Functions without I/O.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from mene.text.redact import redact
from mene.text.thought import split_thought
from mene.verdict import Usage, whole_characters

# Finish reasons of complete answers, as various servers name them (in lower case).
FINISHED = frozenset(
    [
        "stop",
        "eos",
        "eos_token",
        "end_turn",
        "end_of_turn",
        "stop_sequence",
        "complete",
        "completed",
    ]
)
CUT = frozenset(["length", "max_tokens", "max_output_tokens", "max_length", "model_length"])
WITHHELD = frozenset(
    [
        "content_filter",
        "content-filter",
        "safety",
        "recitation",
        "blocklist",
        "prohibited_content",
        "refusal",
        "spii",
        "sensitive",
        "guardrail_intervened",
    ]
)
# Fields of a message that may hold a thought, the usual one first.
THOUGHTS = ("reasoning_content", "reasoning", "thinking", "reasoning_text")
# Maximum length of an answer in characters: ten times any token limit. Longer ones would hold up other rows.
LONGEST = 1_000_000


class Alternative(NamedTuple):
    """A possible text at a token's place, and the natural log of its probability."""

    text: str
    log: float


class Token(NamedTuple):
    """One generated token. ``alternatives`` is empty where one of them is invalid."""

    text: str
    alternatives: tuple[Alternative, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """A model's answer.

    Attributes:
        text: everything after its last thought.
        thought: the reasoning before that, wherever the server put it.
        finished: the server reports that the model finished, and no thought is open.
        cut: the token limit ended it.
        withheld: why a filter or the model refused to answer; None where it did answer.
        ending: the server's finish reason; "" without one.
        tokens: the generated tokens with alternatives, if the server returns them; may include the thought.
        usage: token counts.
    """

    text: str = ""
    thought: str = ""
    finished: bool = False
    cut: bool = False
    withheld: str | None = None
    ending: str = ""
    tokens: tuple[Token, ...] = ()
    usage: Usage = field(default_factory=Usage)


def read_answer(body: Any, own: str = "") -> Answer:
    """Read a chat completion.

    Args:
        body: the JSON of the reply.
        own: text that the template writes itself (opening and cue); thought marks in it do not count.

    Raises:
        ValueError: it is not a chat completion; says what is missing.
    """
    choices = body.get("choices") if isinstance(body, dict) else None
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(message, dict) or not isinstance(choice, dict):
        raise ValueError(f"no message in it: {clean(repr(body))[:80]}")
    text, parts, refusal = _content(message.get("content"))
    beside = next(filter(None, (_thought(message.get(name)) for name in THOUGHTS)), "")
    beside = beside or _details(message.get("reasoning_details"))
    if len(text) + len(beside) + len(parts) > LONGEST:
        raise ValueError(f"it has {len(text) + len(beside) + len(parts):,} characters")
    thought, said, is_open = split_thought(text, own)
    ending = choice.get("finish_reason")
    ending = ending.casefold().rpartition(".")[2] if isinstance(ending, str) else ""
    refusal = refusal or _content(message.get("refusal"))[0]
    withheld = refusal or (ending if ending in WITHHELD else None)
    return Answer(
        text=clean(said),
        thought=clean("\n\n".join(t.strip() for t in (beside, parts, thought) if t.strip())),
        finished=ending in FINISHED and not is_open and not withheld,
        cut=ending in CUT,
        withheld=clean(withheld)[:200] if withheld else None,
        ending=clean(ending)[:40],
        tokens=_tokens(choice.get("logprobs")),
        usage=read_usage(body.get("usage")),
    )


def _content(value: Any) -> tuple[str, str, str]:
    """Return text, thought and refusal of a message's content, which is a text or parts of several types."""
    if value is None:
        return "", "", ""
    if isinstance(value, str):
        return value, "", ""
    if isinstance(value, dict):
        value = [value]
    if not isinstance(value, list):
        raise ValueError(f"its content is no text but {clean(repr(value))[:40]}")
    said: dict[str, list[str]] = {"text": [], "thought": [], "refusal": []}
    for part in value:
        if isinstance(part, str):
            said["text"].append(part)
            continue
        kind = str(part.get("type", "text")).casefold() if isinstance(part, dict) else ""
        if "think" in kind or "thought" in kind or "reason" in kind:
            said["thought"].append(
                _part(part, "thinking", "reasoning", "thought", "text", "content")
            )
        elif kind == "refusal":
            said["refusal"].append(_part(part, "refusal", "text"))
        elif kind in ("text", "output_text"):
            said["text"].append(_part(part, "text", "content"))
        else:
            raise ValueError(f"a part of its content is no text but {clean(repr(part))[:40]}")
    return "".join(said["text"]), "\n\n".join(said["thought"]), "\n\n".join(said["refusal"])


def _thought(value: Any) -> str:
    """Return a thought from its own field; any other value there is ignored."""
    try:
        said, thought, _ = _content(value)
    except ValueError:
        return ""
    return said or thought


def _part(part: Mapping[str, Any], *names: str) -> str:
    """Return a part's text, under the first of these names that it has; parts may be nested."""
    value = next((part[name] for name in names if part.get(name)), "")
    for _ in range(4):
        if isinstance(value, list):
            value = value[0] if len(value) == 1 else "".join(_item(item) for item in value)
        elif isinstance(value, dict):
            value = value.get("text") or value.get("value") or ""
    return value if isinstance(value, str) else ""


def _item(item: Any) -> str:
    text = item.get("text") if isinstance(item, dict) else item
    return text if isinstance(text, str) else ""


def _details(value: Any) -> str:
    """Return the text of OpenRouter's list of thought pieces; encrypted pieces have none."""
    if not isinstance(value, list):
        return ""
    pieces = [p for p in value if isinstance(p, dict)]
    return "".join(_item(p) or _part(p, "summary") for p in pieces)


def _tokens(logprobs: Any) -> tuple[Token, ...]:
    content = logprobs.get("content") if isinstance(logprobs, dict) else None
    if not isinstance(content, list):
        return ()
    found: list[Token] = []
    for entry in content:
        text = entry.get("token") if isinstance(entry, dict) else None
        if not isinstance(text, str):
            return ()  # with a token missing, all later ones would be misplaced
        found.append(Token(text, _alternatives(entry.get("top_logprobs"))))
    return tuple(found)


def _alternatives(value: Any) -> tuple[Alternative, ...]:
    """Return all alternatives, or none if one of them has an invalid probability."""
    if not isinstance(value, list):
        return ()
    found: dict[tuple[str, str], Alternative] = {}
    for entry in value:
        text = entry.get("token") if isinstance(entry, dict) else None
        log = real(entry.get("logprob")) if isinstance(entry, dict) else None
        if not isinstance(text, str) or log is None or log > 1e-3:
            return ()
        # Tokens with equal text may differ in bytes, where they are parts of a character.
        found.setdefault((text, repr(entry.get("bytes"))), Alternative(text, log))
    if sum(math.exp(one.log) for one in found.values()) > 1.01:
        return ()
    return tuple(found.values())


def read_usage(value: Any) -> Usage:
    """Return the server's token counts; an invalid count becomes 0 instead of an error."""
    counts = value if isinstance(value, dict) else {}
    details = counts.get("prompt_tokens_details")
    return Usage(
        prompt_tokens=_count(counts.get("prompt_tokens")),
        cached_tokens=_count(details.get("cached_tokens") if isinstance(details, dict) else 0),
        completion_tokens=_count(counts.get("completion_tokens")),
    )


def _count(value: Any) -> int:
    number = real(value)
    return round(number) if number is not None and 0 <= number < 2**53 else 0


def real(value: Any) -> float | None:
    """Return a finite number, or None; booleans and numbers in quotes give None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def clean(text: str) -> str:
    """Return text safe for any file or terminal: lone surrogates become �, secrets are removed."""
    return redact(whole_characters(text))
