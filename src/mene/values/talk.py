"""Chat messages and their parts, of OpenAI's, Anthropic's and LangChain's forms: which is which, and who speaks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

SPEAKERS = ("user", "human", "assistant", "ai", "system", "developer", "tool", "function")
TEXT_PARTS = ("text", "input_text", "output_text")
REASONING = ("thinking", "redacted_thinking", "reasoning", "reasoning_content")
CALLS = ("tool_use", "server_tool_use", "function_call", "tool_call", "custom_tool_call")
RESULTS = ("tool_result", "function_call_output", "custom_tool_call_output")
UNSEEN = (
    "image", "image_url", "input_image", "input_audio", "audio", "video", "video_url", "file", "input_file",
)  # fmt: skip


def is_talk(values: Sequence[Any]) -> bool:
    """Are these messages?"""
    return any(map(is_message, values)) and all(map(is_turn, values))


def is_message(value: Any) -> bool:
    """Does somebody say something?"""
    if not isinstance(value, Mapping):
        return False
    says = any(key in value for key in ("content", "tool_calls", "function_call", "refusal"))
    return says and ("role" in value or kind_of(value) in SPEAKERS)


def is_turn(value: Any) -> bool:
    """Is it a message, or a part of one?"""
    known = (*TEXT_PARTS, *REASONING, *CALLS, *RESULTS, *UNSEEN, "refusal")
    return is_message(value) or (isinstance(value, Mapping) and kind_of(value) in known)


def kind_of(value: Mapping[str, Any]) -> str:
    """What a message or part says that it is; empty where it says nothing."""
    kind = value.get("type")
    return kind if isinstance(kind, str) else ""


def role(message: Mapping[str, Any]) -> str:
    """Who speaks: ``user``, ``assistant``, ``system``, ``tool``."""
    kind, said = kind_of(message), message.get("role")
    if not isinstance(said, str) or not said:
        said = kind if kind in SPEAKERS else "tool" if kind in RESULTS else ""
        said = "assistant" if kind in (*CALLS, *REASONING) else said or "user"
    return {"human": "user", "ai": "assistant"}.get(said, said)


def speaker(message: Mapping[str, Any]) -> str:
    """Who speaks, as a transcript writes it: ``Assistant``, ``User (Ann)``."""
    name = message.get("name")
    said = role(message).capitalize()
    return f"{said} ({name})" if isinstance(name, str) and name and is_message(message) else said
