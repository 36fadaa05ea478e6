"""Long results of tools: shortened with a mark, and only where that was asked for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mene import Judge, Sample
from mene.criterion import load_criterion
from mene.errors import UsageError
from mene.judge.preset import load_preset
from mene.judge.truncate import shortened

ASKED = load_criterion("tool-call-correctness")


def talk(result: str) -> Sample:
    messages = [
        {"role": "user", "content": "Find it."},
        {"role": "assistant", "tool_calls": [{"id": "1", "name": "find", "args": {"q": "x"}}]},
        {"role": "tool", "tool_call_id": "1", "content": result},
        {"role": "assistant", "content": "It is at the end."},
    ]
    return Sample.from_row({"messages": messages})


def judge(toy, **settings) -> Judge:
    toy.context = 2_000
    toy.count = lambda request: len(request.messages[0].content) // 4
    return Judge(load_preset("openai:toy@http://localhost"), engine=toy, template="prefix", mode="verdict", **settings)  # fmt: skip


LONG = {
    "lines": "begins\n" + "word\n" * 4000 + "```\nends",
    "one line": "begins " + "w " * 9000 + "ends",
}


@pytest.mark.parametrize("kind", LONG)
def test_a_long_result_is_shortened_where_that_was_asked_for(toy, kind: str) -> None:
    sample = talk(LONG[kind])
    [verdict] = judge(toy, truncate="results").judge([sample], ASKED)
    assert verdict.notes == ["results of tools shortened to 4000 characters each"]
    asked = toy.seen[-1].messages[0].content
    assert "characters left out …]" in asked and "begins" in asked and "ends" in asked
    assert '[calls find({"q": "x"})]' in asked and "Assistant: It is at the end." in asked
    assert len(asked) < 8_000
    # Otherwise it is read as it is: whether it fits is the engine's affair.
    whole = judge(toy).asker.ask(sample, ASKED).requests[0].messages[0].content
    assert LONG[kind] in whole.replace("````", "```") or LONG[kind] in whole
    short = talk("four\nlines")
    [verdict] = judge(toy, truncate="results").judge([short], ASKED)
    assert verdict.notes == []


def test_what_does_not_fit_all_the_same_is_an_error_of_the_row(toy) -> None:
    sample = Sample(instruction="q " * 9000, response="a")
    [verdict] = judge(toy, truncate="results").judge([sample], ASKED)
    assert verdict.error is not None and "even with each result of a tool cut" in verdict.error


def test_there_is_no_other_way(toy) -> None:
    with pytest.raises(UsageError, match="truncate"):
        judge(toy, truncate="all")


@given(st.text("ab`\n .:", max_size=80), st.integers(1, 30))
def test_a_result_keeps_its_start_and_its_end(result: str, most: int) -> None:
    text = talk(result).response or ""
    short = shortened(text, most)
    assert short.startswith('Assistant: [calls find({"q": "x"})]')
    assert short.endswith("Assistant: It is at the end.")
    if len(result) <= most:
        assert short == text
    assert shortened(text, 80) == text
