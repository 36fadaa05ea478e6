"""A critique rests on something in the response, or on nothing; the report counts which."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mene import Criterion, Sample, Scale
from mene.curate.critiques.critique import Argued
from mene.curate.critiques.reasons import reasons
from mene.curate.critiques.span import Spans, resting, span_of
from mene.curate.make.edits import words
from mene.curate.raw.sources import Point
from mene.curate.stage import Stage
from mene.recipe import load_recipe

ASKED = "When was the tower of Pisa built, and who built it in the 12th century?"
SAID = (
    "The tower went up from 1173 to 1372, first under Bonanno and later under Giovanni di Simone."
)


def point(response: str = SAID, instruction: str = ASKED, scale: Scale | None = None) -> Point:
    return Point(
        Sample(id="1", instruction=instruction, response=response),
        Criterion(question="Is it right?", scale=scale or Scale.binary()),
        gold="Yes",
        group="g",
        id="s/1",
        source="s",
    )


@pytest.mark.parametrize(
    ("critique", "span"),
    [
        ('It says "first under Bonanno", which is right.', "first under Bonanno"),
        ("It says “First  under Bonanno.”", "First  under Bonanno."),
        ("It says 'the tower', which it isn't about.", "the tower"),
        ('It says "the tower … to 1372", as the context does.', "the tower … to 1372"),
        ("That it went up from 1173 on is right.", "went up from 1173"),
        ("The year 1372 is that of the context.", "1372"),
        ("It was wrong to leave out Giovanni.", "Giovanni"),
        # Not in the response, or only in the instruction, or nothing but the result.
        ('It says "under Diotisalvi", which is wrong.', None),
        ('It says "the tower … to 1400".', None),
        ("It does not tell when the tower of Pisa built itself.", None),
        ("The 12 of the question, and Pisa, are not in doubt.", None),
        ("It is complete and correct, and answers all that was asked.", None),
        ("It's the builder's name that isn't given.", None),
        ("The response is right, so the result is Yes.", None),
        ("", None),
    ],
)
def test_what_a_critique_rests_on(critique: str, span: str | None) -> None:
    assert span_of(critique, point()) == span


def test_a_result_is_nothing_in_the_response() -> None:
    scores = Scale.likert(1, 5)
    listed = point("4. Bread\n17. Salt", scale=scores)
    assert span_of("The score is 4.", listed) is None
    assert span_of("It has 17 points.", listed) == "17"
    assert span_of('So it is "Yes".', point("Yes, it was.")) is None


def test_a_quotation_in_writing_without_spaces() -> None:
    there = point("塔建于1173年,由博南诺建造。", "塔是什么时候建的?")
    assert span_of("回答说“由博南诺”,这是对的。", there) == "由博南诺"
    assert span_of("回答说“由乔瓦尼”,这是对的。", there) is None


def test_either_response_of_a_pair_may_be_named() -> None:
    sample = Sample(instruction="Name a colour.", response_a="A deep blue", response_b="None")
    asked = Criterion(question="?", scale=Scale.pairwise())
    pair = Point(sample, asked, gold="A", group="g", id="s/2", source="s")
    assert span_of('Response A names one: "deep blue".', pair) == "deep blue"
    assert span_of("Response A does what was asked.", pair) is None


def test_without_a_response_the_context_is_judged() -> None:
    sample = Sample(instruction="When does it open?", context="The hall opens at nine.")
    asked = Criterion(question="Is it enough?", scale=Scale.binary(), needs=("context",))
    about = Point(sample, asked, gold="Yes", group="g", id="s/3", source="s")
    assert span_of('It says "opens at nine".', about) == "opens at nine"
    answered = replace(about, sample=sample.model_copy(update={"response": "At ten."}))
    assert span_of('It says "opens at nine".', answered) is None


def test_the_report_counts_both_reasons_and_a_recipe_can_require_one() -> None:
    pairs = [
        Argued(point(), 'It says "from 1173", as it was.', "No", "Nothing in it is right at all."),
        Argued(point(), "All that it says is right.", "No", "It says 1372, which is too late."),
        Argued(point(), "It names Bonanno, who began it.", "No", "It is wrong."),
    ]
    spans, stage = Spans(), Stage()
    spans.watch(pairs)
    assert spans.to_dict() == {
        "chosen": {"kept": 3, "on_span": 2, "share": 0.6667},
        "rejected": {"kept": 3, "on_span": 1, "share": 0.3333},
    }
    assert list(resting(pairs, stage)) == [pairs[0], pairs[2]]
    assert stage.made == {"s": 2}
    assert stage.dropped == {"names nothing in the response": 1}


@pytest.mark.parametrize("required", [True, False])
def test_a_recipe_that_requires_a_span_leaves_the_other_points_out(
    tmp_path: Path, required: bool
) -> None:
    points = [
        replace(point(), id=f"s/{n}", gold=label, critique=critique)
        for n, (label, critique) in enumerate(
            [
                ("Yes", 'It says "from 1173", as it was.'),
                ("Yes", "All that it says is right, and nothing is missing."),
                ("No", "It leaves out Giovanni, who went on with it."),
            ]
        )
    ]
    recipe = load_recipe("nano", ["data.critiques=1", f"data.require_span={required}"])
    stages: dict[str, Stage] = defaultdict(Stage)
    found, price = reasons(
        points,
        recipe,
        lambda point: "train",
        stages,
        tmp_path / "critiques.jsonl",
        teacher=None,
        scorer=None,
        events=lambda event: None,
    )
    left = ["s/0", "s/2"] if required else ["s/0", "s/1", "s/2"]
    assert [one.point.id for one in found.values()] == left
    assert ("spans" in stages) is required
    assert price is None


TEXTS = st.text(st.sampled_from("ab Ä1.,\"'“”«…塔\n\ud800") | st.characters(), max_size=30)


@settings(max_examples=60, deadline=None)
@given(TEXTS, TEXTS, TEXTS)
def test_any_texts_can_be_looked_at(critique: str, response: str, instruction: str) -> None:
    found = span_of(critique, point(response, instruction))
    assert found is None or any(word in response.casefold() for word in words(found))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from("abcdefgh"), min_size=4, max_size=9))
def test_a_run_counts_unless_the_instruction_has_it(said: list[str]) -> None:
    text = " ".join(said)
    assert span_of(f"It has {text} in it.", point(text, "What?")) is not None
    assert span_of(f"It has {text} in it.", point(text, text)) is None
