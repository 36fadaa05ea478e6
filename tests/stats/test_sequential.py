"""Intervals that hold at every moment: against a library, by their promise, and one row at a time as all at once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mene.stats import intervals, sequential
from mene.stats.needed import rows_needed, side_of
from mene.stats.sequential import Threshold, first_decided, log_capital

X = np.array([1, 1, 0, 1, 1, 1, 0.5, 1, 0, 1, 0.25, 1, 1, 1, 1, 0.75, 1, 1, 0, 1])


@pytest.mark.parametrize(
    ("m", "expected"),
    [(0.3, 8.26848398096808), (0.5, 1.8378395275554316), (0.7, 0.04258668786071904)],
)
def test_capital_is_that_of_confseq(m: float, expected: float) -> None:
    """``diversified_betting_mart`` of confseq 0.0.11 (gostevehoward/confseq), bets ``c / m``, theta 1, trunc_scale 1."""
    assert log_capital(X, np.ones(len(X)), m) == pytest.approx(expected, rel=1e-9)


def test_ends_are_where_the_capital_is_just_enough() -> None:
    found = sequential.mean(X)
    assert found.low is not None and found.high is not None
    assert log_capital(X, np.ones(20), found.low) == pytest.approx(np.log(40), abs=1e-6)
    assert log_capital(1 - X, np.ones(20), 1 - found.high) == pytest.approx(np.log(40), abs=1e-6)
    assert found.low < X.mean() < found.high


def test_order_and_counts_do_not_matter() -> None:
    kinds, counts = np.unique(X, return_counts=True)
    a, b = sequential.mean(X[::-1]), sequential.mean(kinds, counts)
    assert (a.low, a.high, a.n) == (pytest.approx(b.low), pytest.approx(b.high), b.n)


def test_ends_of_the_scale() -> None:
    ones, zeros = sequential.mean(np.ones(50)), sequential.mean(np.zeros(50))
    assert ones.high == 1 and zeros.low == 0 and (ones.low or 0) > 0.8
    scores = sequential.mean([1, 5, 5, 4] * 30, low=1, high=5)
    assert 1 <= (scores.low or 0) <= 3.75 <= (scores.high or 0) <= 5
    assert sequential.mean([]).value is None


@settings(max_examples=15)
@given(
    st.lists(st.sampled_from([1.0, 2.0, 3.0, 4.5, 5.0]), min_size=1, max_size=40),
    st.sampled_from([1.0, 1.5, 3.0, 4.9, 5.0]),
)
def test_one_at_a_time_is_all_at_once(values: list[float], at: float) -> None:
    one = Threshold(at, low=1, high=5)
    for value in values:
        one.add(value)
    whole = first_decided(values, at, low=1, high=5)
    assert (None if one.side is None else (one.side, one.decided)) == whole


def test_a_value_beyond_the_ends_is_refused() -> None:
    with pytest.raises(ValueError, match="6"):
        Threshold(3, low=1, high=5).add(6)


@pytest.mark.parametrize(("p", "at"), [(0.95, 0.95), (0.4, 0.4)])
def test_looking_after_every_row_keeps_the_promise(p: float, at: float) -> None:
    """At the threshold itself, where a wrong word is likeliest: at most 2.5 % to each side, however long the run."""
    rng = np.random.default_rng(3)
    runs = 150
    said = [first_decided(rng.random(250) < p, at) for _ in range(runs)]
    for side in ("above", "below"):
        wrong = sum(one is not None and one[0] == side for one in said)
        assert wrong <= stats.binom.ppf(0.999, runs, 0.025)
    # A fixed interval that is looked at after every row breaks it many times over.
    looks = rng.random((100, 400)) < p
    n = np.arange(1, 401)
    share = np.cumsum(looks, axis=1) / n
    half = 1.96 * np.sqrt(p * (1 - p) / n)
    assert (np.abs(share - at) > half)[:, 20:].any(axis=1).mean() > 0.1


def test_a_difference_is_found_before_long() -> None:
    rng = np.random.default_rng(0)
    said = [first_decided(rng.random(400) < 0.8, 0.95) for _ in range(50)]
    assert all(one is not None and one[0] == "below" for one in said)
    assert np.median([one[1] for one in said if one]) < 80


@pytest.mark.parametrize(("n", "at"), [(50, 0.9), (200, 0.95), (200, 0.8)])
def test_a_fixed_sample_keeps_the_promise(n: int, at: float) -> None:
    """Exact, over all outcomes: at the threshold a rule is decided with a probability of 5 % at most."""
    wrong = 0.0
    for right in range(n + 1):
        chance = float(stats.binom.pmf(right, n, at))
        if chance > 1e-7 and side_of(intervals.mean(np.arange(n) < right), at) is not None:
            wrong += chance
    assert wrong <= 0.05


def test_other_levels_are_wider_or_narrower() -> None:
    x = np.arange(200) < 180
    wide, usual, narrow = (intervals.mean(x, level=level) for level in (0.995, 0.975, 0.95))
    assert wide.low < usual.low < narrow.low < 0.9 < narrow.high < usual.high < wide.high  # type: ignore[operator]
    exact = stats.beta.ppf(0.005, 30, 1)  # Clopper and Pearson, where all are right
    assert intervals.mean(np.ones(30), level=0.995).low == pytest.approx(exact)


@pytest.mark.parametrize("anytime", [False, True])
def test_so_many_more_rows_tell(anytime: bool) -> None:
    """The figure that rows_needed gives is where the interval of such rows first excludes the threshold."""
    x = (np.arange(200) < 184).astype(float)
    more = rows_needed(x, np.arange(200), 0.9, anytime=anytime)
    assert more is not None
    find = sequential.mean if anytime else intervals.mean
    rows = 200 + more
    assert side_of(find((np.arange(rows) < 0.92 * rows).astype(float)), 0.9) == "above"
    few = int(rows * 0.95) // 25 * 25
    assert side_of(find((np.arange(few) < round(0.92 * few)).astype(float)), 0.9) is None


def test_rows_needed_of_perfect_rows_is_the_rule_of_three() -> None:
    """0.975 = (1 - 0.95)^n: 72 right rows of 72 show 95 %."""
    assert 30 + (rows_needed(np.ones(30), np.arange(30), 0.95) or 0) == 72


def test_clusters_need_more_rows_and_no_number_is_enough_at_the_threshold() -> None:
    x = np.repeat((np.arange(40) < 37).astype(float), 5)
    alone = rows_needed(x, np.arange(200), 0.9)
    copies = rows_needed(x, np.repeat(np.arange(40), 5), 0.9)
    assert alone is not None and copies is not None and copies > 4 * alone
    assert rows_needed((np.arange(10) < 9).astype(float), np.arange(10), 0.9) is None
    assert rows_needed(np.zeros(0), np.zeros(0, np.int64), 0.9) is None


def test_the_threshold_itself_belongs_to_the_rule() -> None:
    nothing = intervals.Figure(0.0, 0.0, 0.1, 30)
    assert side_of(nothing, 0.0) == "above" and side_of(nothing, 0.0, at_is_above=False) is None
