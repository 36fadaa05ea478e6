"""Paired comparisons against independent numbers."""

from __future__ import annotations

import random

import numpy as np
import pytest
from scipy import stats

from mene.bench.compare import compare, holm, mcnemar, paired
from mene.bench.data import Item
from mene.bench.sets import all_sets
from mene.criterion import load_criterion
from mene.sample import Sample
from mene.verdict import Verdict

FAITHFUL = load_criterion("faithfulness")


def test_mcnemar_is_a_sign_test_on_discordant_rows() -> None:
    a = [1] * 9 + [0] * 2 + [1] * 30
    b = [0] * 9 + [1] * 2 + [1] * 30
    assert mcnemar(a, b) == pytest.approx(stats.binomtest(9, 11).pvalue)
    assert mcnemar(a, a) == 1


def test_holm_as_in_a_worked_example() -> None:
    """Holm 1979: sorted p times what is left, never falling."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


def items(count: int) -> list[Item]:
    return [
        Item(Sample(id=str(i)), FAITHFUL, "Yes" if i % 2 else "No", "", "part", "", f"g{i}")
        for i in range(count)
    ]


def verdicts(rows: list[Item], share: float, seed: int) -> dict[str, Verdict]:
    lot = random.Random(seed)
    other = {"Yes": "No", "No": "Yes"}
    return {
        r.sample.id: Verdict(
            id=r.sample.id, label=str(r.gold) if lot.random() < share else other[str(r.gold)]
        )
        for r in rows
    }


def test_a_better_judge_is_told_from_an_equal_one() -> None:
    rows = items(400)
    one = all_sets()["infobench"]
    good, bad, same = verdicts(rows, 0.8, 1), verdicts(rows, 0.6, 2), verdicts(rows, 0.8, 3)
    clear = compare(one, rows, ("good", good), ("bad", bad), resamples=500)
    unclear = compare(one, rows, ("good", good), ("same", same), resamples=500)
    assert clear.test == "mcnemar"
    assert clear.p < 0.001
    assert clear.difference.low is not None
    assert clear.difference.low > 0.1
    assert unclear.p > 0.05
    balanced = compare(all_sets()["felm"], rows, ("good", good), ("bad", bad), resamples=500)
    assert balanced.test == "bootstrap"
    assert balanced.p < 0.01


def test_one_group_has_no_interval() -> None:
    figure, p = paired(lambda w: w.mean(axis=1), np.zeros(5, np.int64))
    assert (figure.value, figure.low, figure.high, p) == (1, None, None, 1)
