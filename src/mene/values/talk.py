"""Chat messages and their parts in any tool's format: what each is, and who speaks.

OpenAI's chat and responses APIs, Anthropic, LangChain (plain and serialised), Inspect, DeepEval, Ragas, ShareGPT and
OpenInference (Phoenix) store conversations differently. ``turns`` reads all of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mene.values.one_turn import one_line, speakers_name
from mene.values.plain import plain

SPEAKERS = ("user", "human", "assistant", "ai", "system", "developer", "tool", "function")
TEXT_PARTS = ("text", "input_text", "output_text")
REASONING = ("thinking", "redacted_thinking", "reasoning", "reasoning_content")
CALLS = ("tool_use", "server_tool_use", "function_call", "tool_call", "custom_tool_call")
RESULTS = ("tool_result", "function_call_output", "custom_tool_call_output")
UNSEEN = (
    "image", "image_url", "input_image", "input_audio", "audio", "video", "video_url", "file", "input_file",
)  # fmt: skip
# Speaker names in ShareGPT's and related formats.
SHAREGPT = {
    "human": "user", "user": "user", "gpt": "assistant", "chatgpt": "assistant", "assistant": "assistant",
    "model": "assistant", "system": "system", "function_call": "function_call", "tool_call": "function_call",
    "observation": "tool", "tool": "tool", "function_response": "tool", "tool_response": "tool",
}  # fmt: skip
# LangChain's class names in serialised messages.
LANGCHAIN = {
    "HumanMessage": "human", "AIMessage": "ai", "AIMessageChunk": "ai", "SystemMessage": "system",
    "ToolMessage": "tool", "FunctionMessage": "tool", "ChatMessage": "user",
}  # fmt: skip


def is_talk(values: Sequence[Any]) -> bool:
    """Return whether these are messages."""
    return any(map(is_message, values)) and all(map(is_turn, values))


def is_message(value: Any) -> bool:
    """Return whether a value is a message by a speaker."""
    if not isinstance(value, Mapping):
        return False
    says = any(key in value for key in ("content", "tool_calls", "function_call", "refusal"))
    return says and ("role" in value or kind_of(value) in SPEAKERS)


def is_turn(value: Any) -> bool:
    """Return whether a value is a message, or a part of one."""
    known = (*TEXT_PARTS, *REASONING, *CALLS, *RESULTS, *UNSEEN, "refusal")
    return is_message(value) or (isinstance(value, Mapping) and kind_of(value) in known)


def kind_of(value: Mapping[str, Any]) -> str:
    """Return the type that a message or part states; empty without one."""
    kind = value.get("type")
    return kind if isinstance(kind, str) else ""


def role(message: Mapping[str, Any]) -> str:
    """Return the speaker's role: ``user``, ``assistant``, ``system``, ``tool``."""
    kind, said = kind_of(message), message.get("role")
    if not isinstance(said, str) or not said:
        said = kind if kind in SPEAKERS else "tool" if kind in RESULTS else ""
        said = "assistant" if kind in (*CALLS, *REASONING) else said or "user"
    return {"human": "user", "ai": "assistant", "function": "tool"}.get(said, said)


def speaker(message: Mapping[str, Any]) -> str:
    """Return the speaker's name in a transcript: ``Assistant``, ``User (Ann)``, ``Tool (get_weather)``."""
    name, says = message.get("name"), role(message)
    if says == "tool" and not isinstance(name, str):
        name = message.get("function")  # Inspect's
    who = one_line(says.capitalize())
    if isinstance(name, str) and name and (is_message(message) or says == "tool"):
        return f"{who} ({speakers_name(name)})"
    return who


def bare(value: Any) -> Any:
    """Return a message or document without a library's wrapping; anything else unchanged."""
    if not isinstance(value, Mapping):
        return value
    if isinstance(inner := value.get("kwargs"), Mapping) and value.get("lc") is not None:
        path = value.get("id")
        name = path[-1] if isinstance(path, list) and path else ""
        kept = {k: v for k, v in inner.items() if k != "type"}
        return {**kept, "type": LANGCHAIN[name]} if name in LANGCHAIN else kept
    if isinstance(inner := value.get("data"), Mapping) and kind_of(value) in SPEAKERS:
        return {**inner, "type": value["type"]} if "content" in inner else value
    if isinstance(value.get("from"), str) and "value" in value and "role" not in value:
        return _sharegpt(value)
    if "message.role" in value:  # OpenInference's
        return _flat(value)
    if len(value) == 1 and is_message(inner := value.get("message")):
        return inner
    return value


def _sharegpt(value: Mapping[str, Any]) -> Mapping[str, Any]:
    who = SHAREGPT.get(str(value["from"]).lower())
    if who is None:
        return value
    if who != "function_call":
        return {"role": who, "content": value["value"]}
    call = value["value"]
    try:
        call = json.loads(call) if isinstance(call, str) else call
    except (ValueError, RecursionError):
        return {"role": "assistant", "content": one_line(f"[calls {value['value']}]")}
    return {"role": "assistant", "content": None, "tool_calls": call if isinstance(call, list) else [call]}  # fmt: skip


def _flat(value: Mapping[str, Any]) -> Mapping[str, Any]:
    found = {key.removeprefix("message."): inner for key, inner in value.items()}
    calls = plain(found.get("tool_calls"))
    if isinstance(calls, list):
        found["tool_calls"] = [
            {
                "id": call.get("tool_call.id"),
                "name": call.get("tool_call.function.name"),
                "arguments": call.get("tool_call.function.arguments"),
            }
            if isinstance(call, Mapping) and "tool_call.function.name" in call
            else call
            for call in calls
        ]
    return found


def turns(values: Sequence[Any]) -> list[Any]:
    """Return a list with its messages in a common format: unwrapped, and tool results as separate turns with the tool's name.

    Items that are not messages stay unchanged.
    """
    found = [turn for value in values for turn in _unfolded(bare(plain(value)))]
    waiting: list[tuple[Any, str]] = []  # id and name of calls without a result so far
    named = []
    for turn in found:
        if isinstance(turn, Mapping):
            waiting += [(id_of_call(call), name_of_call(call)) for call in calls_of(turn)]
            if is_turn(turn) and role(turn) == "tool":
                turn = _named(turn, waiting)
        named.append(turn)
    return named


def _named(turn: Mapping[str, Any], waiting: list[tuple[Any, str]]) -> Mapping[str, Any]:
    """Return a tool result with the tool's name: from the call it answers, or else the first open call."""
    ids = [turn.get(key) for key in ("tool_call_id", "tool_use_id", "call_id")]
    own = next((i for i in ids if i is not None), None)
    open_ = [n for n, (call, _) in enumerate(waiting) if own is None or call == own]
    if not open_:
        return turn
    _, name = waiting.pop(open_[0])
    has = isinstance(turn.get("name"), str) or isinstance(turn.get("function"), str)
    return turn if has or not name else {**turn, "name": name}


def _unfolded(value: Any) -> Iterator[Any]:
    """Yield the turns in a message: Anthropic puts tool results into a user's turn, DeepEval into the assistant's."""
    if not is_message(value):
        yield value
        return
    content = plain(value.get("content"))
    if isinstance(content, list):
        parts = [bare(plain(part)) for part in content]
        results = [p for p in parts if isinstance(p, Mapping) and kind_of(p) in RESULTS]
        if results and role(value) in ("user", "tool"):
            yield from results
            rest = [part for part in parts if part not in results]
            if rest:
                yield {**value, "content": rest}
            return
    called = plain(value.get("tools_called", value.get("toolsCalled")))
    if isinstance(called, list) and called:
        yield from used(called)
        value = {k: v for k, v in value.items() if k not in ("tools_called", "toolsCalled")}
    yield value


def used(called: Sequence[Any]) -> Iterator[dict[str, Any]]:
    """Yield DeepEval's list of called tools as turns: each call, and its result if any."""
    for call in map(plain, called):
        if not isinstance(call, Mapping):
            continue
        yield {"role": "assistant", "content": None, "tool_calls": [call]}
        if call.get("output") is not None:
            yield {"role": "tool", "name": name_of_call(call), "content": call["output"]}


def calls_of(message: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return a message's or part's tool calls, including those in its content parts."""
    if kind_of(message) in CALLS:
        return [message]
    calls = plain(message.get("tool_calls"))
    content = plain(message.get("content"))
    found = [*(calls if isinstance(calls, list) else []), message.get("function_call")]
    if isinstance(content, list) and not any(found):
        found += [p for p in map(plain, content) if isinstance(p, Mapping) and kind_of(p) in CALLS]
    return [call for call in map(plain, found) if isinstance(call, Mapping)]


def inner_call(call: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the part of a call with name and arguments; in Inspect, ``function`` is just the name."""
    parts = (plain(call.get(key)) for key in ("function", "custom"))
    return next((found for found in parts if isinstance(found, Mapping)), call)


def name_of_call(call: Mapping[str, Any]) -> str:
    """Return the tool's name; empty without one."""
    inner = inner_call(call)
    named = (inner.get("name"), inner.get("function"))
    return next((name for name in named if isinstance(name, str) and name), "")


def id_of_call(call: Mapping[str, Any]) -> Any:
    """Return the id by which a result refers to the call."""
    return call.get("call_id") or call.get("id")


def is_at_work(turn: Any) -> bool:
    """Return whether a turn calls a tool or has a tool's result."""
    return isinstance(turn, Mapping) and (role(turn) == "tool" or bool(calls_of(turn)))


def parted(messages: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """Split a conversation into question and answer: everything after the user's last turn, including tool calls and results.

    Args:
        messages: as from ``turns``.
    """
    asked = [n for n, turn in enumerate(messages) if role(turn) in ("user", "system", "developer")]
    end = asked[-1] + 1 if asked else 0
    return list(messages[:end]), list(messages[end:])
