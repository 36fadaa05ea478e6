"""Verdicts: one line of JSON each, and nothing lost on the way."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mene.verdict import Usage, Verdict

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
shares = st.floats(0, 1)
counts = st.integers(0, 10**9)
usages = st.builds(Usage, prompt_tokens=counts, cached_tokens=counts, completion_tokens=counts)


def verdicts(parts: st.SearchStrategy[list[Verdict]]) -> st.SearchStrategy[Verdict]:
    return st.builds(
        Verdict,
        id=words,
        criterion=words,
        judge=words,
        label=st.none() | words,
        score=st.none() | st.floats(allow_nan=False, allow_infinity=False),
        probabilities=st.none() | st.dictionaries(words, shares, max_size=3),
        confidence=st.none() | shares,
        critique=st.none() | words,
        error=st.none() | words,
        usage=usages,
        latency_s=st.floats(0, 1e6),
        key=words,
        consistent=st.none() | st.booleans(),
        notes=st.lists(words, max_size=2),
        parts=parts,
    )


@given(verdicts(st.lists(verdicts(st.just([])), max_size=2)))
def test_a_line_reads_back_as_the_same_verdict(verdict: Verdict) -> None:
    line = verdict.to_json()
    assert "\n" not in line and "\r" not in line
    line.encode("utf-8")
    assert Verdict.model_validate_json(line) == verdict
    assert Verdict.model_validate(json.loads(line)) == verdict


def test_a_line_says_what_all_verdicts_have_and_is_quiet_about_the_rest() -> None:
    line = json.loads(Verdict(label="Yes").to_json())
    assert list(line)[:3] == ["id", "criterion", "judge"]
    assert {"label", "score", "probabilities", "confidence", "critique", "error"} <= set(line)
    assert {"usage", "latency_s", "key"} <= set(line)
    assert not {"consistent", "notes", "parts"} & set(line)


def test_a_part_leaves_out_its_empty_names() -> None:
    line = json.loads(Verdict(id="1", label="A", parts=[Verdict(label="A")]).to_json())
    assert not {"id", "criterion", "judge", "key"} & set(line["parts"][0])
    assert line["parts"][0]["label"] == "A"


def test_two_orders_that_disagree_are_not_left_out() -> None:
    assert json.loads(Verdict(consistent=False).to_json())["consistent"] is False


def test_text_stays_readable() -> None:
    assert "naïve 😀" in Verdict(critique="naïve 😀").to_json()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("field", ["score", "confidence", "latency_s"])
def test_a_silent_nan_cannot_be_written(field: str, value: float) -> None:
    with pytest.raises(ValueError):
        Verdict.model_validate({field: value}).to_json()


def test_unknown_fields_are_refused() -> None:
    with pytest.raises(ValueError, match="lable"):
        Verdict.model_validate({"lable": "Yes"})


@given(usages, usages)
def test_usage_adds_up(one: Usage, two: Usage) -> None:
    both = one + two
    assert both == two + one
    assert both.prompt_tokens == one.prompt_tokens + two.prompt_tokens
    assert both.cached_tokens == one.cached_tokens + two.cached_tokens
    assert both.completion_tokens == one.completion_tokens + two.completion_tokens
    assert one + Usage() == one


@settings(max_examples=25)
@given(verdicts(st.lists(verdicts(st.just([])), max_size=2)), st.none() | verdicts(st.just([])))
def test_a_line_says_what_model_dump_says(verdict: Verdict, first: Verdict | None) -> None:
    verdict = verdict.model_copy(update={"first": first})
    names = {"id": verdict.id, "criterion": verdict.criterion, "judge": verdict.judge}
    line = {**names, **verdict.model_dump()}
    line.setdefault("key", "")
    assert verdict.to_json() == json.dumps(line, ensure_ascii=False)


def test_facts_are_set_in_place_and_a_copy_leaves_them() -> None:
    verdict = Verdict(id="a", label="Yes")
    copy = verdict.model_copy(update={"id": "b"})
    assert verdict.say(label="No", row=3) is verdict
    assert (verdict.label, verdict.row, copy.label, copy.row) == ("No", 3, "Yes", None)
    assert verdict.model_fields_set == {"id", "label", "row"}


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"scale": "high"}, 'field "scale": cannot read scale'),
        ({"scale": {"kind": "nominal"}}, 'field "scale": Field required'),
        ({"scale": "1-5", "failing": ["6"]}, 'field "failing": "6" is not on its scale'),
    ],
)
def test_a_scale_that_is_none_is_a_mistake(facts: dict, said: str) -> None:
    assert said in (Verdict(label="1", **facts).mistake() or "")
