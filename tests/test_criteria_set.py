"""Several criteria in one run: where they come from, and what they come to."""

from __future__ import annotations

from pathlib import Path

import pytest

from mene.criteria_set import Rule, load_criteria, value_of
from mene.criterion import Criterion, load_criterion
from mene.errors import UsageError
from mene.verdict import Verdict

SET = """\
criteria:
- faithfulness
- Is the reply polite?
- own.yaml
- criterion: tone
  weight: 0.5
- name: short
  question: Is the reply short?
  must_pass: true
"""


def written(folder: Path, text: str) -> str:
    path = folder / "set.yaml"
    path.write_text(text)
    return str(path)


def test_a_set_names_criteria_in_every_way_there_is(tmp_path) -> None:
    (tmp_path / "own.yaml").write_text("name: mine\nquestion: Is it mine?\nscale: 1-3\n")
    found = load_criteria(["toxicity", written(tmp_path, SET)])
    assert [criterion.name for criterion in found] == [
        "toxicity", "faithfulness", "is-the-reply-polite", "mine", "tone", "short",
    ]  # fmt: skip
    assert found.rules == {"tone": Rule(weight=0.5), "short": Rule(must_pass=True)}
    assert found.criteria[-1].scale.labels == ("Yes", "No")
    assert load_criteria(found) is found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("criteria: []", "line 1: criteria: "),
        ("criteria: tone", "line 1: criteria: must be a list"),
        ("criteria:\n- tone\n- faithfulnes\n", 'line 3: no criterion "faithfulnes"; did you mean'),
        (
            "criteria:\n- tone\n- criterion: tone\n  wieght: 2\n",
            'line 4: unknown key "wieght"; did',
        ),
        ("criteria:\n- name: x\n  qestion: Is it?\n", 'line 3: unknown key "qestion"; did you'),
        ("criteria:\n- question: Is it?\n  weight: -1\n", "line 3: weight: "),
        ("criteria:\n- question: Is it?\n  must_pass: perhaps\n", "line 3: must_pass: "),
        ("criteria:\n- tone\n- [tone]\n", "line 3: an entry is a criterion's name"),
        ("criteria:\n- tone\n- tone\n", "tone is given twice"),
        ("criteria:\n- tone\n- criterion: tone\n  scale: 1-3\n", "two criteria are called tone"),
        (
            "criteria:\n- name: overall\n  question: Is it?\n- criterion: tone\n  weight: 2\n",
            "is called overall",
        ),
        ("criteria:\n- criterion: preference\n  weight: 2\n", "line 3: preference does not say"),
        ("criteria:\n- tone\nname: x\n", 'line 3: unknown key "name"'),
    ],
)
def test_what_is_wrong_with_a_set_is_said_with_its_line(tmp_path, text, said) -> None:
    with pytest.raises(UsageError) as caught:
        load_criteria(written(tmp_path, text))
    assert said in str(caught.value)


def test_a_criterion_may_have_the_name_of_a_result_that_there_is_not(tmp_path) -> None:
    text = "criteria:\n- name: overall\n  question: Is it?\n- tone\n"
    assert [one.name for one in load_criteria(written(tmp_path, text))] == ["overall", "tone"]


def test_a_set_says_its_own_scales_and_is_no_single_criterion(tmp_path) -> None:
    path = written(tmp_path, "criteria: [tone, faithfulness]\n")
    with pytest.raises(UsageError, match="--scale: each criterion of .* has its own scale"):
        load_criteria(path, "1-3")
    with pytest.raises(UsageError, match="is a set of criteria, but only one is allowed here"):
        load_criterion(path)
    with pytest.raises(UsageError, match="no criterion given"):
        load_criteria([])


def test_the_set_of_the_docs_can_be_used(tmp_path) -> None:
    page = (Path(__file__).parents[1] / "docs" / "criteria.md").read_text("utf-8")
    text = next(part for part in page.split("```yaml\n") if part.startswith("criteria:"))
    found = load_criteria(written(tmp_path, text.split("```")[0]))
    assert [one.name for one in found][::2] == ["faithfulness", "short"]
    assert found.rules["faithfulness"] == Rule(weight=2, must_pass=True)


def verdict(label: str | None, score: float | None = None, **p: float) -> Verdict:
    error = "broken" if label is None else None
    return Verdict(label=label, score=score, probabilities=p or None, error=error)


def test_the_value_of_a_verdict_is_how_far_it_is_from_failing() -> None:
    tone, yes_no = load_criterion("tone"), load_criterion("faithfulness")
    assert value_of(verdict("4", 4.0), tone) == 0.75
    assert value_of(verdict("Yes", Yes=0.7, No=0.3), yes_no) == 0.7
    assert value_of(verdict("No", Yes=0.3, No=0.7), load_criterion("toxicity")) == 0.7
    assert value_of(verdict("No"), yes_no) == 0.0
    harm = Criterion(question="How bad?", scale="0-4", failing=("3", "4"))  # type: ignore[arg-type]
    assert value_of(verdict("1", 1.0), harm) == 0.75
    assert value_of(verdict(None), tone) is None
    assert value_of(None, tone) is None
    assert value_of(verdict("A", A=0.9, B=0.1), load_criterion("preference")) is None


def test_a_sample_passes_what_it_must_and_has_a_weighted_mean() -> None:
    found = load_criteria(
        [
            {"criterion": "faithfulness", "must_pass": True, "weight": 3},
            "tone",
            {"criterion": "toxicity", "must_pass": True, "weight": 0},
            "preference",
        ]
    )
    said = {
        "faithfulness": verdict("Yes", Yes=0.8, No=0.2),
        "tone": verdict("3", 3.0),
        "toxicity": verdict("No", Yes=0.1, No=0.9),
        "preference": verdict("A"),
    }
    score, passed = found.overall(said)
    assert score == pytest.approx((3 * 0.8 + 0.5) / 4)
    assert passed is True
    assert found.overall(said | {"toxicity": verdict("Yes")}).passed is False
    # One that fails decides, whatever the others would say; one that passes does not.
    assert found.overall(said | {"toxicity": verdict(None)}) == (score, None)
    assert (
        found.overall(said | {"toxicity": verdict(None), "faithfulness": verdict("No")}).passed
        is False
    )
    assert found.overall(said | {"tone": verdict(None)}).score is None
    assert load_criteria("tone").overall({"tone": verdict("3", 3.0)}) == (0.5, None)


def test_a_question_in_words_shows_what_it_is_told_to() -> None:
    asked = ["faithfulness", "Is it polite?", {"name": "short", "question": "Is it short?"}]
    every = load_criteria(asked)
    assert [c.shown for c in load_criteria(asked, uses=[])] == [
        every.criteria[0].shown,
        ("response",),
        every.criteria[2].shown,  # it has `uses:` of its own
    ]
    [question] = load_criteria("Is it polite?", uses=["instruction"])
    assert question.shown == ("instruction", "response")
    with pytest.raises(UsageError, match='no sample field "contxt"; did you mean "context"'):
        load_criteria("Is it polite?", uses=["contxt"])
