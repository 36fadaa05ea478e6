"""Tests of paired differences, against independent numbers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from mene.stats.paired import holm, mcnemar, sign_flips, stuart_maxwell


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


def test_stuart_maxwell_as_statsmodels_has_it() -> None:
    """``SquareTable(…, shift_zeros=False).homogeneity(method="stuart_maxwell")`` of statsmodels 0.14."""
    table = [[20, 10, 5], [3, 30, 15], [0, 5, 40]]
    assert stuart_maxwell(table) == pytest.approx(0.0010257277265580678)
    assert stuart_maxwell([[20, 10], [3, 30]]) == pytest.approx(0.05220363534131467)


def test_stuart_maxwell_without_changes_and_with_labels_that_nobody_changed() -> None:
    assert stuart_maxwell([[7, 0], [0, 5]]) == 1
    table = [[20, 10, 0], [3, 30, 0], [0, 0, 9]]
    assert stuart_maxwell(table) == pytest.approx(0.05220363534131467)
    # Two pairs of labels that are exchanged among themselves: two differences, not three.
    apart = np.zeros((4, 4))
    apart[:2, :2], apart[2:, 2:] = [[20, 10], [3, 30]], [[5, 8], [2, 9]]
    alone = [(10 - 3) ** 2 / 13, (8 - 2) ** 2 / 10]
    assert stuart_maxwell(apart) == pytest.approx(stats.chi2.sf(sum(alone), 2))
