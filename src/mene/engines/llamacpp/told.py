"""A completion that is told while it is written, and is the same in the end as one that is not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

from mene.engines.hear import begun
from mene.engines.llamacpp.process import Calls
from mene.errors import EngineError

# Called with all that is written by now.
Tell = Callable[[str], None]


def told(body: dict[str, Any], calls: Calls, tell: Tell) -> dict[str, Any]:
    """Answer a completion request as ``/v1/completions`` does."""
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
    """What ``/completion`` sends, with the whole text in the pieces' ``content``; the last one has ``stop``, or is an error.

    Stop texts are looked for here. llama.cpp holds back what may be the beginning of one, and where the limit of tokens
    comes then, it never sends that.

    Raises:
        EngineError: it broke off.
    """
    stops = [text for text in body.get("stop", ()) if text]
    sent = {**body, "stop": [], "stream": True, "timings_per_token": True}
    text = ""  # held back
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
