"""A completion that is told while it is written, and is the same in the end as one that is not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from mene.engines.llamacpp.process import Calls
from mene.errors import EngineError

# Called with all that is written by now.
Tell = Callable[[str], None]
# Some text of one token: behind it, the first token of another text keeps its space.
ANCHOR = "a"


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
    """What ``/completion`` sends, with the whole text in the pieces' ``content``; the last one has ``stop``.

    llama.cpp holds back what may be the beginning of a stop text, and half of a character. Where the limit of tokens
    comes then, it never sends it; so it is asked for the tokens too.

    Raises:
        EngineError: it broke off.
    """
    held, last = list[int](), dict[str, Any]()
    for last in calls.stream("/completion", {**body, "stream": True, "return_tokens": True}):
        if "error" not in last:
            held = [] if last["content"] else held + last["tokens"]
            if last["stop"] and last["stop_type"] == "limit" and held:
                last["content"] = _text(held, calls)
        yield last
        if "error" in last:
            return
    if not last.get("stop"):
        raise EngineError("llama.cpp broke off in the middle of a text; judge the row again")


def _text(tokens: list[int], calls: Calls) -> str:
    """What tokens say in the middle of a text."""
    anchor = calls.post("/tokenize", {"content": ANCHOR})["tokens"]
    before, whole = (
        calls.post("/detokenize", {"tokens": some})["content"] for some in (anchor, anchor + tokens)
    )
    return whole[len(before) :]
