"""A labelled question: one gold, as a label and as a number."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mene.criterion import Criterion
from mene.labelled import LabelledQuestion
from mene.sample import Sample
from mene.scale import Scale


def question(gold: str | float, scale: Scale) -> LabelledQuestion:
    return LabelledQuestion(Sample(), Criterion(question="How good?", scale=scale), gold, "g")


@pytest.mark.parametrize(
    ("gold", "label", "value"),
    [(2.4, "2", 2.4), (2.5, "2", 2.5), (5.0, "5", 5.0), ("3", "3", None)],
)
def test_a_number_has_its_nearest_label(gold: str | float, label: str, value: float | None) -> None:
    one = question(gold, Scale.likert())
    assert (one.label, one.value) == (label, value)


@given(st.floats(1, 10))
def test_no_other_label_is_nearer(gold: float) -> None:
    scale = Scale.likert(1, 10)
    own = abs(float(question(gold, scale).label) - gold)
    assert all(own <= abs(value - gold) for value in scale.values)


def test_a_class_is_its_own_label() -> None:
    one = question("No", Scale.binary())
    assert (one.label, one.value) == ("No", None)
