"""What a server answered, put into one form before anything is read out of it.

Servers differ in where a model's thought stands (in the text, in a field of its own, in parts), in how they say
that an answer was cut or withheld, and in what they count. All of that is settled here, once; what reads a label or a
critique sees an ``Answer``. Functions without I/O.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from mene.text.redact import redact
from mene.text.thought import split_thought
from mene.verdict import Usage, whole_characters

# Reasons to end, as different servers name them (small letters).
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
# Fields of a message in which a thought may stand, the usual one first.
THOUGHTS = ("reasoning_content", "reasoning", "thinking", "reasoning_text")
# Characters of an answer: ten times what any limit of tokens allows. A longer one would only hold up the others.
LONGEST = 1_000_000


class Alternative(NamedTuple):
    """A text that could have stood in a token's place, and the natural log of its probability."""

    text: str
    log: float


class Token(NamedTuple):
    """One token that was written. ``alternatives`` is empty where one of them makes no sense."""

    text: str
    alternatives: tuple[Alternative, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model said.

    Attributes:
        text: what stands behind its last thought.
        thought: the reasoning before that, wherever it stood.
        finished: the server says that the model came to its end, and no thought is open.
        cut: the limit of tokens ended it.
        withheld: why a filter or the model refused to answer; None where it did not.
        ending: the reason to end in the server's word; "" where it gave none.
        tokens: what was written and its alternatives, if the server tells; the thought may be among it.
        usage: tokens.
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
        body: the JSON that came.
        own: what a template writes itself (opening and cue); a mark in it is no mark of a thought.

    Raises:
        ValueError: it is none, with what is missing.
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
    """Text, thought and refusal of a message's content: a text, or parts of several types."""
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
    """A thought in a field of its own; whatever else stands there is no reason to lose the answer."""
    try:
        said, thought, _ = _content(value)
    except ValueError:
        return ""
    return said or thought


def _part(part: Mapping[str, Any], *names: str) -> str:
    """The text of a part, under the first of these names that it has; parts may lie in parts."""
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
    """OpenRouter's list of pieces of a thought; encrypted ones have no text."""
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
            return ()  # one is missing, so that nothing behind it is where it seems to be
        found.append(Token(text, _alternatives(entry.get("top_logprobs"))))
    return tuple(found)


def _alternatives(value: Any) -> tuple[Alternative, ...]:
    """All or none: probabilities of which one is nonsense are not believed."""
    if not isinstance(value, list):
        return ()
    found: dict[tuple[str, str], Alternative] = {}
    for entry in value:
        text = entry.get("token") if isinstance(entry, dict) else None
        log = real(entry.get("logprob")) if isinstance(entry, dict) else None
        if not isinstance(text, str) or log is None or log > 1e-3:
            return ()
        # Tokens with the same text differ in their bytes, where these are halves of a character.
        found.setdefault((text, repr(entry.get("bytes"))), Alternative(text, log))
    if sum(math.exp(one.log) for one in found.values()) > 1.01:
        return ()
    return tuple(found.values())


def read_usage(value: Any) -> Usage:
    """Tokens as a server counts them. A count that makes no sense is 0: it is no reason to lose an answer."""
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
    """A finite number, or None; True is none, and neither is a number in quotes."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def clean(text: str) -> str:
    """Text that any file and any terminal can hold: half a character is �, and no secret is in it."""
    return redact(whole_characters(text))
