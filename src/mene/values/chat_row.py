"""Rows in OpenAI's and Anthropic's formats: a conversation, a chat completion, a line of a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mene.errors import SampleError
from mene.values.listed import messages_of
from mene.values.plain import plain
from mene.values.talk import is_at_work, is_talk, parted, turns

# Column names of conversations in various tools.
TALKS = ("messages", "conversations", "conversation", "turns", "conversation_history", "dialogue", "dialog")  # fmt: skip


def from_chat(row: Mapping[str, Any], *, answered: bool = False) -> dict[str, Any]:
    """Split a conversation: everything after the user's last turn, including tool calls and results, is the response;
    everything
    before is the instruction.

    Also reads a chat completion (``choices``) and lines of a batch output (``response.body``).

    Args:
        answered: the response is already known.

    Raises:
        SampleError: there are several choices.
    """
    found: dict[str, Any] = {}
    messages = talk_of(row)
    choices = (
        messages_of(row.get("choices"))
        or messages_of(_get(row, "response", "choices"))
        or messages_of(_get(row, "response", "body", "choices"))
    )
    if len(choices) > 1 and not answered:
        raise SampleError(
            f'field "response": the row has {len(choices)} choices, but mene judges one response per row; '
            "write one row for each, or choose one with --map response=choices.0.message"
        )
    asked, said = parted(messages)
    if choices and not answered:
        message = _get(choices[0], "message")
        text = _get(choices[0], "text")
        found["response"] = text if message is None else [*said, message]
    elif said:
        found["response"] = said
    if asked:
        found["instruction"] = asked
    return {k: v for k, v in found.items() if v is not None}


def talk_of(row: Mapping[str, Any]) -> list[Any]:
    """Return the conversation in a row, with the row's separate system prompt, if any; empty where there is none."""
    for name in TALKS:
        if (found := turns(messages_of(row.get(name)))) and is_talk(found):
            break
    else:
        found = turns(messages_of(_get(row, "body", "messages")))
        if not (found and is_talk(found)):
            return []
    for name in ("system", "chatbot_role", "chatbotRole"):
        system = plain(row.get(name))
        if system and isinstance(system, str | Sequence):
            return [{"role": "system", "content": system}, *found]
    return found


def apart(found: dict[str, Any]) -> dict[str, Any]:
    """Split an instruction that is a conversation: turns after the user's last one belong to the response."""
    talk = found.get("instruction")
    items = turns(messages_of(talk)) if not isinstance(talk, Mapping) else []
    if not items or not is_talk(items) or "response_a" in found or "response_b" in found:
        return found
    asked, answered = parted(items)
    said = plain(found.get("response"))
    if not asked or not answered:
        return found
    if said is None:
        return {**found, "instruction": asked, "response": answered}
    if not any(map(is_at_work, answered)):
        return found
    own = turns(messages_of(said)) or turns([said])
    if not is_talk(own):
        own = [{"role": "assistant", "content": said}]
    return {**found, "instruction": asked, "response": [*answered, *own]}


def traced(found: dict[str, Any]) -> dict[str, Any]:
    """Split the answer of an agent's trace that contains the whole conversation, including the question."""
    talk = turns(messages_of(found.get("response")))
    asked, said = parted(talk) if talk and is_talk(talk) else ([], [])
    return {**found, "instruction": asked, "response": said} if asked and said else found


def is_nested(value: Any) -> bool:
    """Return whether a value is a server's reply with the answer nested inside."""
    return (
        type(value) is not str
        and isinstance(value, Mapping)
        and not value.keys().isdisjoint(("body", "choices", "status_code"))
    )


def _get(value: Any, *keys: str) -> Any:
    """Return the value at a path of keys, or None."""
    for key in keys:
        value = plain(value)
        value = value.get(key) if isinstance(value, Mapping) else None
    return value
