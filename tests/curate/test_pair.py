"""A training pair is written and read in one place, and its answers are put together as its template says."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mene import Criterion, Sample, Scale
from mene.curate.critiques.critique import Argued
from mene.curate.pair import Pair, read_pairs
from mene.curate.pairs import argued_pairs, critique_pair, pairs_of, reason_pair
from mene.curate.raw.sources import Point
from mene.curate.stage import Stage
from mene.errors import UsageError
from mene.judge.explain import request_for
from mene.message import Message
from mene.recipe import load_recipe
from mene.template import load_template, template_names
from mene.verdict import Verdict

LINE = Pair(
    id="s/1", source="s", mode="verdict", messages=(Message("user", "q"),), labels=("Yes", "No"),
    label="Yes", wrong="No", cue="**Result:**", group="g",
).to_json()  # fmt: skip
TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)


@given(
    messages=st.lists(st.builds(Message, st.sampled_from(["system", "user"]), TEXT), max_size=3),
    fields=st.fixed_dictionaries(
        dict.fromkeys(("id", "source", "group", "critique", "opening", "cue", "gap", "joint"), TEXT)
    ),
    labels=st.lists(TEXT, min_size=2, max_size=5, unique=True),
    value=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    compared=st.none() | TEXT,
    mode=st.sampled_from(["verdict", "critique", "reason"]),
)
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_is_read(
    tmp_path: Path, messages, fields, labels, value, compared, mode
) -> None:
    pair = Pair(
        mode=mode, messages=tuple(messages), labels=tuple(labels), label=labels[-1],
        wrong=labels[0], value=value, compared=compared, **fields,
    )  # fmt: skip
    path = tmp_path / "pairs.jsonl"
    path.write_text(pair.to_json() + "\n", "utf-8")
    assert list(read_pairs(path)) == [pair]


@given(line=st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\r\n")))
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_else_stands_there_is_one_error(tmp_path: Path, line: str) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text(f"{LINE}\n{line}\n", "utf-8")
    with pytest.raises(UsageError, match=r"line 2: .*; run `mene curate` again"):
        list(read_pairs(path))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"label": "Yes"', '"label": "yes"', '"yes" is not among the labels Yes, No'),
        ('"wrong": "No"', '"wrong": "Yes"', 'both answers have the label "Yes"'),
        ('"group": "g"', '"chosen": "x"', 'field "(group|chosen)"'),
        ('"mode": "verdict"', '"mode": 3', 'field "mode": Input should be'),
        ('[{"role": "user", "content": "q"}]', '[{"role": "user"}]', r'field "messages\.0'),
        ('[{"role": "user", "content": "q"}]', "[7]", r'field "messages\.0'),
    ],
)
def test_a_field_that_is_wrong_is_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text(LINE.replace(old, new) + "\n")
    with pytest.raises(UsageError, match=f"line 1: {said}"):
        list(read_pairs(path))


POINT = Point(
    Sample(id="1", response="Fine."),
    Criterion(name="good", question="Is it good?", scale=Scale.binary()), "No", "g", "s/1", "s",
)  # fmt: skip


@pytest.mark.parametrize("name", ["prefix", "glider", "flow-judge", "prometheus-2"])
def test_answers_stand_as_the_template_says(name: str) -> None:
    """They were cue, space and label, whatever its gap and joint, and in the labels of the scale."""
    template = load_template(name)
    recipe = load_recipe("nano", [f"data.templates={{{name}: 1}}"])
    [pair] = pairs_of(POINT, recipe)
    yes, no = template.written(POINT.criterion.scale)
    assert pair.chosen == f"{template.cue}{template.joint}{no}"
    assert pair.rejected == f"{template.cue}{template.joint}{yes}"
    argued = critique_pair(Argued(POINT, "It is rude.", "Yes", "It is kind."), recipe)
    reason = f"{template.opening} It is rude.".strip()
    assert argued.chosen == f"{reason}{template.gap}{template.cue}{template.joint}{no}"
    assert argued.request.label_key[2] == template.joint


@pytest.mark.parametrize("name", template_names())
def test_a_reason_is_learned_as_a_judge_is_asked_for_it(name: str) -> None:
    recipe = load_recipe("nano", [f"data.templates={{{name}: 1}}"])
    template = load_template(name)
    [verdict] = pairs_of(POINT, recipe)
    pair = reason_pair(Argued(POINT, "It is rude.", "Yes", "It is kind."), recipe)
    given = Verdict(label=pair.label)
    asked = request_for(verdict.request, given, template.why, 1, 0.0)
    assert replace(pair.request, index=0) == asked
    assert pair.messages[: len(verdict.messages)] == verdict.messages
    assert pair.messages[-2] == Message("assistant", verdict.chosen)
    assert pair.chosen == f"{template.opening} It is rude.".strip()
    assert pair.rejected == f"{template.opening} It is kind.".strip()


def test_points_are_argued_as_often_as_the_recipe_says() -> None:
    points = [replace(POINT, id=f"s/{n}") for n in range(200)]
    recipe = load_recipe("nano", ["data.critiques=0.25", "data.reasons=0.5"])
    stages = defaultdict(Stage)
    found = {
        point.id: [
            pair.mode
            for pair in argued_pairs(Argued(point, "It is rude.", "Yes", "Kind."), recipe, stages)
        ]
        for point in points
    }
    both = [modes for modes in found.values() if modes == ["critique", "reason"]]
    alone = [modes for modes in found.values() if modes == ["reason"]]
    assert ["critique"] not in found.values()
    assert 30 < len(both) < 70
    assert 30 < len(alone) < 70
    assert stages["reasons"].made == {"s": len(both) + len(alone)}


def test_a_long_critique_is_not_a_reason() -> None:
    recipe = load_recipe("nano", ["data.critiques=1", "data.reasons=1"])
    stages = defaultdict(Stage)
    long = Argued(POINT, "It is rude. " * 27, "Yes", "It is kind.")
    assert [pair.mode for pair in argued_pairs(long, recipe, stages)] == ["critique"]
    assert stages["reasons"].dropped == {"too long for a reason": 1}


def test_a_recipe_without_reasons_has_no_stage_for_them() -> None:
    recipe, stages = load_recipe("nano", ["data.critiques=1"]), defaultdict(Stage)
    argued = Argued(POINT, "It is rude.", "Yes", "It is kind.")
    assert [pair.mode for pair in argued_pairs(argued, recipe, stages)] == ["critique"]
    assert not stages
