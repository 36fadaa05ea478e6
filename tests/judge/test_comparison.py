"""Three ways of judging two responses: what each asks, what the right answers are, and what the answers say together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mene import Criterion, Sample, Scale
from mene.judge.combine import VOTES, combine
from mene.judge.comparison import BOTH_ORDERS, COMPARISONS, POINTWISE, TOGETHER, comparison_for
from mene.verdict import Verdict

PAIR = Criterion(name="pair", question="Which?", scale=Scale.pairwise(ties=True))
SAMPLE = Sample(response_a="x", response_b="y")


def said(scale: Scale, label: str, sure: float = 1.0) -> Verdict:
    rest = (1 - sure) / (len(scale.labels) - 1)
    p = {one: sure if one == label else rest for one in scale.labels}
    return Verdict(label=label, probabilities=p, confidence=sure)


@pytest.mark.parametrize("how", COMPARISONS.values(), ids=COMPARISONS)
@pytest.mark.parametrize("label", ["A", "B", "tie"])
def test_right_answers_to_its_questions_give_the_right_label(how, label: str) -> None:
    questions, answers = how.ask(SAMPLE, PAIR), how.answers(label)
    if (how.name, label) == ("pointwise", "tie"):
        assert answers == ()  # neither response is the one that was chosen
        return
    assert len(questions) == len(answers) == len(how.seats)
    for sample, criterion in questions:
        criterion.check(sample)
    given = [said(q.criterion.scale, a) for q, a in zip(questions, answers, strict=True)]
    whole = how.conclude(given, PAIR.scale)
    assert (whole.label, whole.confidence) == (label, pytest.approx(1))
    assert whole.consistent is (True if how is BOTH_ORDERS else None)


@given(st.floats(0.01, 0.99), st.floats(0.01, 0.99))
def test_exchanged_responses_exchange_the_verdict_except_of_one_order(p: float, q: float) -> None:
    scale = Scale.pairwise()
    for how in (BOTH_ORDERS, POINTWISE):
        own = [Scale.binary() if how is POINTWISE else scale] * 2
        a, b = (said(s, s.labels[0], sure) for s, sure in zip(own, (p, q), strict=True))
        one, other = how.conclude([a, b], scale), how.conclude([b, a], scale)
        assert one.probabilities and other.probabilities
        assert one.probabilities["A"] == pytest.approx(other.probabilities["B"])


def test_draws_of_both_orders_are_turned_too() -> None:
    scale = Scale.pairwise()
    draws = [Verdict(label="A"), Verdict(label="A"), Verdict(label="B")]
    whole = BOTH_ORDERS.conclude([combine(draws, scale), combine(draws, scale)], scale)
    assert whole.probabilities == {"A": pytest.approx(0.5), "B": pytest.approx(0.5)}
    assert whole.consistent is False
    assert [part.label for part in whole.parts] == ["A", "B"]
    assert [draw.label for draw in whole.parts[1].parts] == ["B", "B", "A"]
    assert VOTES in whole.notes


def test_what_is_no_pair_is_one_question() -> None:
    score = Criterion(name="score", question="How good?", scale=Scale.likert())
    assert comparison_for(score, "pointwise") is TOGETHER
    assert comparison_for(PAIR, "pointwise") is POINTWISE
