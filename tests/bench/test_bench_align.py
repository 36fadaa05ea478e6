"""Calibration from people's labels: judged on rows it did not learn from."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mene import Judge, Sample
from mene.bench.align import METHODS, align, learn
from mene.bench.align_screen import save
from mene.calibration import Calibration
from mene.criterion import load_criterion

FAITHFUL = load_criterion("faithfulness")
YES, NO = FAITHFUL.scale.labels


def rows(count: int, temperature: float, bias: float, seed: int = 0):
    """Gold labels drawn from true probabilities, and a judge that distorts these."""
    lot = random.Random(seed)
    gold, said = [], []
    for _ in range(count):
        logit = lot.gauss(0, 1.5)
        gold.append(YES if lot.random() < 1 / (1 + math.exp(-logit)) else NO)
        p = 1 / (1 + math.exp(-(logit * temperature + bias)))
        said.append({YES: p, NO: 1 - p})
    return gold, said


def test_a_distorted_judge_is_set_right_on_held_out_rows() -> None:
    gold, said = rows(400, temperature=3, bias=4)
    found = align(FAITHFUL, "verdict", gold, said, [str(i) for i in range(400)], resamples=200)
    held = {h.name: h for h in found.held}
    before = found.before.agreement
    after = held["bias"].agreement
    assert before.ece.value is not None
    assert after.ece.value is not None
    assert after.ece.value < 0.08 < 0.2 < before.ece.value
    assert after.accuracy.value > before.accuracy.value + 0.05  # type: ignore[operator]
    assert found.chosen is not None
    assert found.chosen.method in ("bias", "isotonic")
    assert found.more == 1200


def test_learned_numbers_undo_the_distortion() -> None:
    gold, said = rows(4000, temperature=2, bias=2)
    table = np.array([[p[YES], p[NO]] for p in said])
    codes = np.array([0 if g == YES else 1 for g in gold])
    found = learn("bias", FAITHFUL, "verdict", table, codes)
    assert found.temperature == pytest.approx(2, rel=0.1)
    assert found.bias[YES] - found.bias[NO] == pytest.approx(-1, abs=0.12)  # 2 / temperature


def test_a_calibrated_judge_is_left_alone_or_hardly_changed() -> None:
    gold, said = rows(300, temperature=1, bias=0)
    found = align(FAITHFUL, "verdict", gold, said, [str(i) for i in range(300)], resamples=50)
    if found.chosen is not None:
        assert min(h.log_loss for h in found.held) < found.before.log_loss
        assert found.chosen.apply({YES: 0.7, NO: 0.3})[YES] == pytest.approx(0.7, abs=0.1)


@given(
    st.lists(st.floats(0.01, 1), min_size=2, max_size=2),
    st.sampled_from(METHODS),
)
def test_calibrated_probabilities_sum_to_1_and_keep_rank(weights: list[float], method) -> None:
    gold, said = rows(60, 2, 0)
    table = np.array([[p[YES], p[NO]] for p in said])
    codes = np.array([0 if g == YES else 1 for g in gold])
    found = learn(method, FAITHFUL, "verdict", table, codes)
    p = {YES: weights[0] / sum(weights), NO: weights[1] / sum(weights)}
    out = found.apply(p)
    assert sum(out.values()) == pytest.approx(1)
    assert all(0 <= v <= 1 for v in out.values())
    surer = found.apply({YES: min(1.0, p[YES] + 0.05), NO: max(0.0, p[NO] - 0.05)})
    assert surer[YES] >= out[YES] - 1e-9


def test_a_saved_judge_uses_what_it_learned_and_only_there(tmp_path, toy) -> None:
    learned = Calibration(
        criterion="faithfulness",
        labels=(YES, NO),
        mode="verdict",
        method="bias",
        temperature=0.5,
        bias={YES: 1.0},
    )
    raw = Judge("nano", mode="verdict", engine=toy)
    gold, said = rows(60, 3, 2)
    found = align(FAITHFUL, "verdict", gold, said, [str(i) for i in range(60)], resamples=20)
    save(raw, type(found)(found.before, found.held, learned, found.more), tmp_path / "my.yaml")
    mine = Judge(str(tmp_path / "my.yaml"), mode="verdict", engine=toy)
    assert mine.name == "my"
    sample = Sample(context="Paris is in France.", response="Paris is in Spain.")
    before, after = raw(sample, criterion="faithfulness"), mine(sample, criterion="faithfulness")
    assert before.probabilities
    assert after.probabilities == pytest.approx(learned.apply(before.probabilities))
    assert after.key != before.key
    other = Sample(instruction="Hi", response="Hello")
    plain, same = raw(other, criterion="tone"), mine(other, criterion="tone")
    assert same.probabilities == plain.probabilities
    assert same.key == plain.key
