"""OpenAI's forms of a row: a talk, a chat completion, a line of a batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mene.errors import SampleError
from mene.values.listed import messages_of
from mene.values.plain import plain
from mene.values.talk import role


def from_chat(row: Mapping[str, Any]) -> dict[str, Any]:
    """OpenAI's chat rows: the last assistant turn is the response, what comes before it the instruction.

    Also reads a chat completion (``choices``) and lines of a batch output (``response.body``).
    """
    found: dict[str, Any] = {}
    messages = messages_of(row.get("messages")) or messages_of(_get(row, "body", "messages"))
    choices = (
        messages_of(row.get("choices"))
        or messages_of(_get(row, "response", "choices"))
        or messages_of(_get(row, "response", "body", "choices"))
    )
    if len(choices) > 1:
        raise SampleError(
            f'field "response": the row has {len(choices)} choices, and one is judged; '
            "give each a row of its own"
        )
    if choices:
        message = _get(choices[0], "message")
        found["response"] = _get(choices[0], "text") if message is None else [message]
    elif messages and isinstance(messages[-1], Mapping) and role(messages[-1]) == "assistant":
        found["response"] = [messages.pop()]
    if messages:
        found["instruction"] = messages
    return {k: v for k, v in found.items() if v is not None}


def is_nested(value: Any) -> bool:
    """Is it what a server sent, with the answer somewhere in it?"""
    return (
        type(value) is not str
        and isinstance(value, Mapping)
        and not value.keys().isdisjoint(("body", "choices", "status_code"))
    )


def _get(value: Any, *keys: str) -> Any:
    """What lies under a path of keys, or None."""
    for key in keys:
        value = plain(value)
        value = value.get(key) if isinstance(value, Mapping) else None
    return value
