"""Streamed completions, with the same final result as completions without streaming."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

from mene.engines.hear import begun
from mene.engines.llamacpp.process import Calls
from mene.errors import EngineError

# Called with the whole text so far.
Tell = Callable[[str], None]


def told(body: dict[str, Any], calls: Calls, tell: Tell) -> dict[str, Any]:
    """Return the answer to a completion request in the form of ``/v1/completions``."""
    text, last = "", dict[str, Any]()
    for last in pieces(body, calls):
        if "error" in last:
            return last
        text += last["content"]
        if last["content"] and not last["stop"]:
            tell(text)
    return {
        "choices": [
            {"text": text, "finish_reason": "length" if last["stop_type"] == "limit" else "stop"}
        ],
        "usage": {
            "prompt_tokens": last["tokens_evaluated"],
            "completion_tokens": last["tokens_predicted"],
            "prompt_tokens_details": {"cached_tokens": last["timings"]["cache_n"]},
        },
    }


def pieces(body: dict[str, Any], calls: Calls) -> Iterator[dict[str, Any]]:
    """Yield the pieces of ``/completion``, with the text so far in ``content``; the last one has ``stop``, or is an error.

    Stop texts are searched for here. llama.cpp holds back a possible beginning of one, and never sends it if the token limit
    is reached first.

    Raises:
        EngineError: llama.cpp aborted.
    """
    stops = [text for text in body.get("stop", ()) if text]
    sent = {**body, "stop": [], "stream": True, "timings_per_token": True}
    text = ""  # a possible beginning of a stop text
    with closing(calls.stream("/completion", sent)) as events:
        for event in events:
            if "error" in event:
                yield event
                return
            text += event["content"]
            found = [place for stop in stops if (place := text.find(stop)) >= 0]
            if found:
                yield {**event, "content": text[: min(found)], "stop": True, "stop_type": "word"}
                return
            end = (
                len(text)
                if event["stop"]
                else min([begun(text, stop) for stop in stops] or [len(text)])
            )
            yield {**event, "content": text[:end]}
            text = text[end:]
            if event["stop"]:
                return
    raise EngineError("llama.cpp broke off in the middle of a text; judge the row again")
