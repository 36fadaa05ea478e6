"""Intervals keep their promise: a small version of `benchmarks/coverage.py`, and the edges."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mene.sample import Sample
from mene.stats import intervals
from mene.stats.clusters import clusters, design_effect, joined
from mene.stats.correlation import coefficient, pearson
from mene.stats.shared import shared

_FILE = Path(__file__).parents[2] / "benchmarks" / "coverage.py"
_SPEC = importlib.util.spec_from_file_location("coverage_of_intervals", _FILE)
assert _SPEC and _SPEC.loader
coverage = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(coverage)


@pytest.mark.parametrize("share", [0.5, 0.75, 0.9, 0.99])
def test_the_interval_of_a_share_holds_the_truth(share: float) -> None:
    for n in (5, 8, 13, 20, 50):
        assert coverage.exact(n, share) >= 0.93
        assert coverage.exact(5 * n, share, copies=5) >= 0.93
    assert coverage.exact(100, share) <= 0.985  # not by being as wide as can be
    assert coverage.exact(4, share) is None


def test_clusters_that_are_alike_in_part_are_counted_in_part() -> None:
    for n, share in ((50, 0.6), (100, 0.9)):
        assert 0.92 <= coverage.clustered(n, share, 300) <= 0.995


def test_clusters_of_unequal_sizes_are_worth_fewer() -> None:
    for share in (0.6, 0.8):
        assert coverage.clustered(250, share, 300, unequal=True) >= 0.90
    groups = np.r_[np.zeros(300, int), np.arange(1, 21)]  # one document says nearly all
    right = np.arange(320) % 5 > 0
    assert intervals.mean(right, groups).low is None
    assert intervals.strata(right, np.arange(320) % 2, np.full(2, 0.5), groups).low is None
    two = np.r_[np.repeat([0, 1], 500), np.arange(2, 10)]
    x = np.random.default_rng(0).normal(size=10)[two]
    y = x + np.random.default_rng(1).normal(size=10)[two]
    assert coefficient(pearson(x, y), two).low is None
    assert intervals.unbounded(x, two).low is None


@pytest.mark.parametrize(("n", "together"), [(50, False), (100, True)])
def test_all_that_is_shown_with_an_interval_holds_the_truth(n: int, together: bool) -> None:
    for name, held in coverage.others(n, 100, together=together).items():
        assert held >= 0.89, name


def test_one_method_for_shares_of_rows_and_agresti_and_coulls() -> None:
    """On many rows it is the interval of the paper (and of statsmodels' ``agresti_coull``)."""
    n, right = 2000, 1700
    found = intervals.mean(np.arange(n) < right)
    z = stats.norm.ppf(0.975)
    centre = (right + z * z / 2) / (n + z * z)
    half = z * np.sqrt(centre * (1 - centre) / (n + z * z))
    assert (found.low, found.high) == pytest.approx((centre - half, centre + half), abs=1e-4)
    exact = stats.binomtest(right, n).proportion_ci()
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high), abs=2e-3)


def test_rows_that_are_all_one_half_may_still_differ() -> None:
    """A judge that chooses by the seat is half right on each pair of orders; so few pairs do not prove it."""
    found = intervals.mean([0.5] * 20)
    assert found.low < 0.46 and found.high > 0.54
    none = intervals.mean([0.0] * 20, low=-1.0)  # two judges that agree on 20 rows
    assert none.low < -0.05 and none.high > 0.05


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 8)), max_size=40),
    st.booleans(),
)
def test_any_values_give_an_interval_in_range_or_none(rows, grouped) -> None:
    values = np.array([v for v, _ in rows])
    groups = clusters(g for _, g in rows) if grouped else None
    found = intervals.mean(values, groups)
    assert found.n == len(rows)
    if found.low is not None:
        assert 0 <= found.low <= found.value <= found.high <= 1
        assert found.low < found.high
    else:
        sizes = np.bincount(groups) if grouped and len(rows) else np.ones(len(rows))
        assert not rows or sizes.sum() ** 2 / (sizes**2).sum() < intervals.FEWEST


def test_what_belongs_together() -> None:
    one = Sample(instruction="Greet me.", response="Hello", id="1", label="Yes")
    again = one.model_copy(update={"id": "2", "label": "No"})
    assert shared(one) == shared(again)
    assert shared(one) != shared(one.model_copy(update={"response": "Hi"}))
    assert shared(one) != shared(one.model_copy(update={"instruction": "Be rude."}))
    document = Sample(context="A shop.", response="It is open.")
    assert shared(document) == shared(document.model_copy(update={"response": "It is shut."}))
    pair = Sample(response_a="x", response_b="y")
    assert shared(pair) == shared(pair.swapped())


def test_a_figure_in_words() -> None:
    assert str(intervals.Figure(0.716, 0.548, 0.84, 1032)) == "0.72 [0.55, 0.84], n = 1,032"
    assert str(intervals.Figure(-0.5, None, None, 3)) == "-0.50, n = 3"
    assert str(intervals.Figure(None, None, None, 0)) == "–, n = 0"


def test_copies_are_alike_however_near_their_mean_is() -> None:
    """Large clusters near the whole mean must not be taken for independent rows."""
    groups = np.repeat(np.arange(105), [40] * 5 + [1] * 100)
    values = np.ones(len(groups))
    values[:80] = 0  # 3 of 5 large ones, 60 of 100 small ones: alike
    values[200:240] = 0
    effect, most = design_effect(values, groups)
    assert effect == pytest.approx(most)


def test_pairs_that_share_a_cluster_on_either_side_are_joined() -> None:
    one, other = np.array([0, 0, 1, 2, 3]), np.array([0, 1, 1, 2, 3])
    assert list(joined(one, other)) == [0, 0, 0, 1, 2]
    assert len(joined(one[:0], other[:0])) == 0
