"""Tests of paired differences, against independent numbers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from mene.stats.paired import holm, mcnemar, sign_flips


def test_mcnemar_is_a_sign_test_on_discordant_rows() -> None:
    a = [1] * 9 + [0] * 2 + [1] * 30
    b = [0] * 9 + [1] * 2 + [1] * 30
    assert mcnemar(a, b) == pytest.approx(stats.binomtest(9, 11).pvalue)
    assert mcnemar(a, a) == 1


def test_holm_as_in_a_worked_example() -> None:
    """Holm 1979: sorted p times what is left, never falling."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


def test_sign_flips_are_exact_for_few_clusters() -> None:
    amounts, groups = np.array([1.0, 2, 3, -1, 1]), np.arange(5)
    sums = [
        abs(sum(s * a for s, a in zip(signs, amounts, strict=True)))
        for signs in np.array(np.meshgrid(*[[-1, 1]] * 5)).reshape(5, -1).T
    ]
    assert sign_flips(amounts, groups) == np.mean(np.array(sums) >= 6)
    assert sign_flips(np.ones(40), np.repeat([0, 1], 20)) == 0.5
    many = np.random.default_rng(0).normal(size=400)
    assert sign_flips(many, np.arange(400)) > 0.01
