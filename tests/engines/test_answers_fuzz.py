"""Answers that no server should give: no traceback, and no label that was not said.

A few dozen in every run of the tests; ``MENE_FUZZ=2000 pytest -n 0 tests/engines/test_answers_fuzz.py`` for as many as you like.
"""

from __future__ import annotations

import json
import os
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from played import Played, request_of

from mene.engines.remote import pauses
from mene.errors import MeneError
from mene.judge.combine import verdict_of
from mene.scale import Scale
from mene.text.thought import MARKS

EXAMPLES = int(os.environ.get("MENE_FUZZ", "40"))
SCALES = (("Yes", "No"), tuple(map(str, range(1, 11))), ("是", "否"), ("A", "B", "tie"))

odd = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(allow_nan=True, allow_infinity=True),
    st.text(max_size=8),
    st.just("\ud83d"),
)
values = st.recursive(
    odd,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=3,
)
# @0 and @1 are the first two labels of the scale that is asked for.
pieces = [m for pair in MARKS[:3] for m in pair] + ["@0", "@1", "1", "Yes"]
pieces += ["**Result:**", "**Result:** ", "**Reasoning:**", " ", "\n", ".", "**", "or", "\ud83d", "\x1b[2J"]  # fmt: skip
texts = st.lists(st.sampled_from(pieces), max_size=9).map("".join) | st.text(max_size=30)
# Most answers of a kind that a label is read from, or the test would show little.
said = st.builds(
    lambda before, label, after: f"{before}\n\n**Result:** {label}{after}",
    texts,
    st.sampled_from(["@0", "@1"]),
    st.sampled_from(["", "", "", "", ".", "**", " or so", "\n\nIt is.", "0", "</think>"]),
)
part = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "thinking", "output_text", "refusal", "image_url"])},
    optional={"text": said | odd, "thinking": said | values},
)
contents = said | said | said | said | texts | st.lists(part | texts, max_size=3) | values
ends = st.sampled_from(["stop"] * 4 + ["length", "content_filter", "tool_calls", "abort", "", None, 3, "eos"])  # fmt: skip
top = st.fixed_dictionaries({"token": st.sampled_from([" Yes", " No", "1", "10", "是"]) | odd, "logprob": st.floats(-9, 0) | odd})  # fmt: skip
token = st.fixed_dictionaries({"token": st.sampled_from(pieces) | odd}, optional={"top_logprobs": st.lists(top, max_size=4) | odd})  # fmt: skip
logprobs = st.none() | st.fixed_dictionaries({"content": st.lists(token | odd, max_size=6) | odd}) | values  # fmt: skip
thoughts = {
    "reasoning_content": said | values,
    "reasoning": said | values,
    "refusal": st.none() | texts,
    "reasoning_details": values,
}
plain = st.fixed_dictionaries({"content": contents})
messages = plain | plain | st.fixed_dictionaries({"content": contents}, optional=thoughts) | values
choices = st.fixed_dictionaries(
    {"message": messages, "finish_reason": ends},
    optional={"logprobs": logprobs, "error": st.none() | values},
)
usage = st.fixed_dictionaries({}, optional={"prompt_tokens": odd, "completion_tokens": odd, "prompt_tokens_details": values}) | values  # fmt: skip
bodies = st.fixed_dictionaries({"choices": st.lists(choices, min_size=1, max_size=2)}, optional={"usage": usage, "error": st.none(), "z": values})  # fmt: skip
complaints = st.fixed_dictionaries(
    {
        "error": values
        | st.fixed_dictionaries(
            {},
            optional={
                "message": texts | st.sampled_from(["logprobs: no", "quota", "context length"]),
                "code": odd | st.integers(399, 600),
                "type": values,
                "param": odd,
            },
        )
    }
)
statuses = st.sampled_from([200, 204, 301, 307, 400, 401, 402, 403, 404, 413, 422, 429, 500, 503])
headers = st.dictionaries(
    st.sampled_from(["retry-after", "location", "content-encoding"]),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12)
    | st.sampled_from(["gzip", "9" * 30, "/v1/x", "http://elsewhere/"]),
    max_size=2,
)
replies = st.one_of(
    st.tuples(st.just(200), st.just({}), bodies),
    st.tuples(st.just(200), st.just({}), bodies),
    st.tuples(statuses, headers, complaints | bodies | values),
    st.tuples(statuses, headers, st.binary(max_size=40)),
)


def fill(reply: tuple[int, dict, Any], labels: tuple[str, ...]) -> tuple[int, dict, Any]:
    """The reply with the scale's labels in the places of @0 and @1."""
    if isinstance(reply[2], bytes):
        return reply
    text = json.dumps(reply[2]).replace("@0", labels[0]).replace("@1", labels[1])
    return (*reply[:2], json.loads(text))


def play(reply: tuple[int, dict, Any]) -> httpx.Response:
    status, extra, body = reply
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return httpx.Response(status, headers=extra, stream=httpx.ByteStream(content))


def could_be_read(reply: tuple[int, dict, Any], label: str, guided: bool) -> bool:
    """Written apart from the code under test: is this a finished answer that says this label, and says it last?"""
    status, _, body = reply
    if not 200 <= status < 300 or not isinstance(body, dict):
        return False
    choice = body["choices"][0]
    if choice["finish_reason"] not in ("stop", "eos"):
        return False
    content = choice["message"]["content"]
    if isinstance(content, list):
        content = "".join(
            p if isinstance(p, str) else str(p.get("text") or "")
            for p in content
            if isinstance(p, str) or p["type"] in ("text", "output_text")
        )
    if guided and not (isinstance(content, str) and content.strip()):
        return True  # a choice that a parser took for a thought
    if isinstance(content, dict):
        content = content.get("text") or content.get("content") or ""
    for begin, end in MARKS:
        if begin.casefold() in content.casefold().rpartition(end)[2]:
            return False
    bare = content.strip().removesuffix("</think>").strip("*_`\"'()[]<>. \n")
    return bare.casefold().endswith(label.casefold())


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(pauses, "LONGEST_PAUSE", 0.0)


@settings(
    max_examples=EXAMPLES,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    st.lists(replies, min_size=1, max_size=3),
    st.sampled_from(["someone", "someone", "vllm", "llamacpp"]),
    st.sampled_from(SCALES),
    st.sampled_from([0, 20]),
    st.booleans(),
)
def test_whatever_a_server_answers(given_replies, owner, labels, tokens, choose) -> None:
    used: list[tuple[int, dict, Any]] = []

    def reply(body: dict, _: int) -> httpx.Response | dict:
        if body["path"].endswith("/apply-template"):
            return {"prompt": "Good? <think>"}
        if body["path"].endswith("/tokenize"):
            return {"tokens": [ord(c) for c in body["content"]]}
        used.append(fill(given_replies[len(used) % len(given_replies)], labels))
        return play(used[-1])

    gets = {"/props": {"default_generation_settings": {"n_ctx": 4096}}}
    server = Played(reply, owner, gets)
    request = request_of(labels=labels, critique_tokens=tokens, choose=choose or not tokens)
    try:
        [done] = server.ask(request, retries=1, backoff_s=0.0)
    except MeneError as error:  # the server as a whole
        str(error).encode()
        event("the run ends")
        return
    assert (done.error is None) or (done.label is None)
    assert (done.error is not None) or (done.label is not None) or not request.choose
    scale = Scale.classes(*labels)
    verdict_of(done, scale).to_json().encode()
    event(f"{owner}: {'label' if done.label else 'critique' if not done.error else 'error'}")
    if done.probabilities is not None:
        assert sum(done.probabilities.values()) == pytest.approx(1)
    if done.label is not None and owner != "llamacpp":
        assert done.label in labels
        assert could_be_read(used[-1], done.label, owner == "vllm")
