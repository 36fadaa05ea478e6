"""Answers of many servers in one form."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mene.engines.base import Request
from mene.engines.remote import prompt as remote
from mene.engines.remote.answer import read_answer, read_usage
from mene.message import Message
from mene.text.thought import MARKS, closed, closing, split_thought
from mene.verdict import whole_characters


def request_of(labels=("Yes", "No"), critique_tokens=9) -> Request:
    return Request(
        0, (Message("user", "?"),), labels, "**Reasoning:**", "**Result:**", critique_tokens
    )


def body(content, end: object = "stop", **fields) -> dict:
    message = {"role": "assistant", "content": content, **fields}
    return {"choices": [{"finish_reason": end, "message": message}]}


@pytest.mark.parametrize(
    ("given", "text", "thought"),
    [
        (body("Hi"), "Hi", ""),
        (body("<think>why</think>Hi"), "Hi", "why"),
        (body("why</think>\nHi"), "\nHi", "why"),  # the template had opened it
        (body("<THINKING>a</THINKING>b<think>c</think>Hi"), "Hi", "abc"),
        (body("[THINK]why[/THINK]Hi"), "Hi", "why"),
        (body("<|channel|>analysis<|message|>why<|channel|>final<|message|>Hi"), "Hi", "why"),
        (body("analysisWe look.assistantfinalHi"), "Hi", "We look."),
        (body("analysis of it"), "analysis of it", ""),
        (body("Hi", reasoning_content="why"), "Hi", "why"),
        (body(None, reasoning="why"), "", "why"),
        (body("Hi", reasoning_details=[{"type": "x", "text": "w"}, {"text": "hy"}, {"data": 1}]), "Hi", "why"),
        (body("Hi", reasoning=7, thinking={"no": 1}), "Hi", ""),
        (body([{"type": "text", "text": "H"}, {"type": "text", "text": "i"}]), "Hi", ""),
        (body([{"type": "thinking", "thinking": [{"type": "text", "text": "why"}]}, {"type": "text", "text": "Hi"}]), "Hi", "why"),
        (body([{"type": "output_text", "text": "Hi"}, "!"]), "Hi!", ""),
        (body("caf\ud83d\ude00 \ud83d"), "caf😀 �", ""),
    ],
)  # fmt: skip
def test_text_and_thought(given, text, thought) -> None:
    answer = read_answer(given)
    assert (answer.text, answer.thought, answer.finished) == (text, thought, True)


@pytest.mark.parametrize(
    ("end", "finished", "cut", "withheld"),
    [
        ("stop", True, False, None),
        ("STOP", True, False, None),
        ("end_turn", True, False, None),
        ("FinishReason.STOP", True, False, None),
        ("length", False, True, None),
        ("MAX_TOKENS", False, True, None),
        ("content_filter", False, False, "content_filter"),
        ("SAFETY", False, False, "safety"),
        ("tool_calls", False, False, None),
        ("abort", False, False, None),
        ("", False, False, None),
        (None, False, False, None),
        (3, False, False, None),
    ],
)
def test_how_it_ended(end, finished, cut, withheld) -> None:
    answer = read_answer(body("**Result:** Yes", end))
    assert (answer.finished, answer.cut, answer.withheld) == (finished, cut, withheld)
    assert remote.read_label(answer, request_of()) == ("Yes" if finished else None)


@pytest.mark.parametrize(
    "given",
    [
        body("<think>so **Result:** No"),
        body("**Result:** No <think>or"),
        body("<think>a</think>**Result:** No<think>b"),
        body("<think>a</thinking>**Result:** No"),
        body(None, reasoning_content="**Result:** No"),
        body("<think>**Result:** No</think>"),
        body([{"type": "thinking", "thinking": "**Result:** No"}]),
        body("**Result:** No", refusal="I will not."),
        body([{"type": "refusal", "refusal": "I will not."}, {"type": "text", "text": "**Result:** No"}]),
    ],
)  # fmt: skip
def test_no_label_out_of_a_thought_or_a_refusal(given) -> None:
    assert remote.read_label(read_answer(given), request_of()) is None


@pytest.mark.parametrize(
    "given",
    [
        None, 3, "x", [], {}, {"choices": None}, {"choices": [None]}, {"choices": [{"message": 1}]},
        body(3), body([3]), body([{"type": "image_url"}]), body("x" * 1_000_001),
    ],
)  # fmt: skip
def test_what_is_no_answer_says_so(given) -> None:
    with pytest.raises(ValueError, match="."):
        read_answer(given)


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("**Result:** 1", "1"),
        ("**Result:** 10", "10"),
        ("**Result:** 1 … **Result:** 10", None),
        ("**Result:** 10/10\n**Result:** 10", "10"),
        ("Close with **Result:** and a number.\n**Result:** 3", "3"),
        ("**Result:** 3\n**Result:** 3", "3"),
        ("**Result:** 3.\n\nWere it worse: **Result:** 2", None),
        ("**Result:** 3<|im_end|>", "3"),
        ("**Result:** 3 or 4", None),
    ],
)
def test_exactly_one_result(text, label) -> None:
    labels = tuple(map(str, range(1, 11)))
    assert remote.parse_label(text, request_of(labels)) == label


def test_marks_that_a_template_writes_itself_are_none_of_a_thought() -> None:
    given = body("<reasoning>fine</reasoning><score> 3")
    assert read_answer(given, "<reasoning></reasoning><score>").text.startswith("<reasoning>fine")
    assert read_answer(given).text == "<score> 3"


@pytest.mark.parametrize(("begin", "end"), MARKS)
def test_a_thought_that_a_template_opens_is_closed(begin, end) -> None:
    prompt = f"user: what does {begin} mean?\nassistant: "
    assert closed(prompt) == prompt
    assert closed(f"{prompt}{begin}\n") == f"{prompt}{begin}\n\n{end}\n\n"
    assert closed(closed(f"{prompt}{begin}\n")) == closed(f"{prompt}{begin}\n")
    assert closing(f"{begin} so") == end
    assert closing(f"{begin} so {end} well") == ""


@pytest.mark.parametrize("count", [1.5, 10.0, True, None, "12", -1, -(10**30), 10**400, math.nan, math.inf, [3]])  # fmt: skip
def test_odd_counts_of_tokens_lose_nothing(count) -> None:
    used = read_usage({"prompt_tokens": count, "completion_tokens": 4})
    assert used.completion_tokens == 4
    assert used.prompt_tokens in (0, 2, 10)
    assert read_usage(count) == read_usage(None)


def logprobs(*tops: dict) -> dict:
    content = [
        {"token": "**Result:**", "top_logprobs": []},
        {"token": " Yes", "top_logprobs": list(tops)},
    ]
    given = body("**Result:** Yes")
    given["choices"][0]["logprobs"] = {"content": content}
    return given


def top(token: object, log: object) -> dict:
    return {"token": token, "logprob": log}


@pytest.mark.parametrize(
    "odd", [math.nan, math.inf, -math.inf, 1e308, 0.5, "-0.1", None, True, [1], 10**400]
)
def test_an_odd_log_probability_makes_no_probabilities(odd) -> None:
    answer = read_answer(logprobs(top(" Yes", odd), top(" No", -1.0)))
    assert remote.read_label(answer, request_of()) == "Yes"
    assert remote.read_probabilities(answer, request_of(), "Yes", fold=True) is None


def test_tokens_that_are_told_twice_count_once_and_too_much_is_not_believed() -> None:
    once = read_answer(logprobs(top(" Yes", -0.2), top(" No", -1.8)))
    twice = read_answer(logprobs(top(" Yes", -0.2), top(" Yes", -0.2), top(" No", -1.8)))
    found = [remote.read_probabilities(a, request_of(), "Yes", fold=True) for a in (once, twice)]
    assert found[0] == found[1] is not None
    more = read_answer(logprobs(top(" Yes", -0.1), top(" No", -0.1)))
    assert remote.read_probabilities(more, request_of(), "Yes", fold=True) is None


def test_probabilities_are_read_behind_the_thought() -> None:
    tokens = ["<think>", "No", "</think>", "Yes"]
    given = body("".join(tokens))
    tops = [top("Yes", -0.2), top("No", -1.8)]
    given["choices"][0]["logprobs"] = {
        "content": [{"token": t, "top_logprobs": [top("No", -0.1)] if t == "No" else tops} for t in tokens]
    }  # fmt: skip
    request = request_of(critique_tokens=0)
    answer = read_answer(given)
    assert remote.read_label(answer, request) == "Yes"
    found = remote.read_probabilities(answer, request, "Yes", fold=True)
    assert found is not None
    assert found["Yes"] == pytest.approx(0.832, abs=1e-3)


@given(st.text(max_size=80) | st.lists(st.sampled_from([m for p in MARKS for m in p] + ["a", " "])).map("".join))  # fmt: skip
def test_a_thought_is_split_off_and_nothing_is_made_up(text) -> None:
    _, said, is_open = split_thought(text)
    assert said in text
    assert is_open == bool(closing(text))
    assert split_thought(said)[2] is False


@given(st.text(st.characters(min_codepoint=0xD7F0, max_codepoint=0xE010), max_size=8))
def test_characters_are_whole(text) -> None:
    whole_characters(text).encode()
