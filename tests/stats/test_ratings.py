"""Ratings: closed forms, another implementation, arena-rank's figures, and planted ratings that are found again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit
from scipy.stats import t as student

from mene.stats.ratings import CENTRE, SCALE, Tally, bootstrap, has_maximum, rate, tally
from mene.stats.ratings_elo import elo
from mene.stats.ratings_ranks import ranks
from mene.stats.ratings_style import rate_styled, relative


def drawn(truth, votes: int, rng, ties: float = 0.0, prefer=0.0):
    """Votes of people who judge by these strengths (in log-odds), and by ``prefer``."""
    n = len(truth)
    a = rng.integers(0, n, votes)
    b = (a + rng.integers(1, n, votes)) % n
    score = (rng.random(votes) < expit(truth[a] - truth[b] + prefer)).astype(float)
    return a, b, np.where(rng.random(votes) < ties, 0.5, score)


def test_two_players_have_a_closed_form() -> None:
    found = rate(tally([0] * 40, [1] * 40, [1.0] * 30 + [0.0] * 10, 2))
    assert found.value[0] - found.value[1] == pytest.approx(400 * np.log10(3))
    # The log-odds of 30 of 40 have the variance 1 / (40 * 3/4 * 1/4); each rating gets half of the difference.
    half = 1.959964 * SCALE * np.sqrt(1 / 7.5) / 2
    assert found.high[0] - found.value[0] == pytest.approx(half, rel=1e-6)
    assert found.votes.tolist() == [40, 40] and not found.prior


def test_seats_and_copies_do_not_matter() -> None:
    a, b, score = drawn(np.array([0.5, 0, -0.5]), 300, np.random.default_rng(0), ties=0.2)
    one, turned = tally(a, b, score, 3), tally(b, a, 1 - score, 3)
    assert np.array_equal(one.times, turned.times) and one.votes == 300
    assert np.array_equal(one.met(), one.met().T) and np.allclose(
        one.won() + one.won().T, one.met()
    )
    double = rate(tally(np.r_[a, a], np.r_[b, b], np.r_[score, score], 3))
    assert double.value == pytest.approx(rate(one).value)
    assert (double.high - double.low) * np.sqrt(2) == pytest.approx(rate(one).high - rate(one).low)


def test_it_is_the_maximum_that_another_optimiser_finds() -> None:
    a, b, score = drawn(np.array([1, 0.3, 0, -0.4, -1]), 500, np.random.default_rng(1), ties=0.1)

    def loss(t):
        return np.sum(np.logaddexp(0, t[a] - t[b]) - score * (t[a] - t[b]))

    t = minimize(loss, np.zeros(5), tol=1e-10).x
    assert rate(tally(a, b, score, 5)).value == pytest.approx(
        CENTRE + SCALE * (t - t.mean()), abs=0.01
    )


def test_ratings_and_intervals_are_those_of_arena_rank() -> None:
    """What ``arena-rank`` 0.1.1 says of these votes; ``benchmarks/arena.py`` asks it about more."""
    a, b, score = drawn(np.array([0.8, 0.2, -0.1, -0.9]), 400, np.random.default_rng(7), ties=0.25)
    found = rate(tally(a, b, score, 4))
    assert found.value == pytest.approx(ARENA_RANK[0], abs=0.01)
    assert found.low == pytest.approx(ARENA_RANK[1], abs=0.01)
    assert found.high == pytest.approx(ARENA_RANK[2], abs=0.01)


ARENA_RANK = (
    [1089.4177, 1010.8847, 1012.3152, 887.3823],
    [1057.0072, 978.6041, 979.9084, 855.5045],
    [1121.8283, 1043.1653, 1044.7220, 919.2602],
)


def test_planted_ratings_lie_in_their_intervals_and_ranks() -> None:
    rng = np.random.default_rng(3)
    inside, ranked, sims = 0, 0, 200
    for _ in range(sims):
        truth = rng.normal(0, 0.7, 6)
        truth -= truth.mean()
        found = rate(tally(*drawn(truth, 400, rng), 6))
        inside += int(
            ((found.low <= CENTRE + SCALE * truth) & (CENTRE + SCALE * truth <= found.high)).sum()
        )
        placed = ranks(found)
        true = (-truth).argsort().argsort() + 1
        ranked += bool(((placed.best <= true) & (true <= placed.worst)).all())
    assert 0.93 < inside / (6 * sims) < 0.97
    assert ranked / sims > 0.93  # all six at once


def test_what_is_equal_has_no_rank_and_what_is_far_apart_has_one() -> None:
    rng = np.random.default_rng(0)
    same = ranks(rate(tally(*drawn(np.zeros(4), 200, rng), 4)))
    assert same.best.tolist() == [1] * 4 and same.worst.tolist() == [4] * 4
    far = ranks(rate(tally(*drawn(np.array([0, 3.0, -3.0]), 900, rng), 3)))
    assert far.best.tolist() == [2, 1, 3] == far.worst.tolist()


def test_the_bootstrap_says_what_the_sandwich_says() -> None:
    counts = tally(*drawn(np.array([0.5, 0.1, -0.6]), 900, np.random.default_rng(5), ties=0.2), 3)
    one, other = rate(counts), bootstrap(counts, 400)
    assert other.value == pytest.approx(one.value)
    assert other.high - other.low == pytest.approx(one.high - one.low, rel=0.15)


def test_votes_of_one_voter_that_go_together_are_worth_less() -> None:
    rng = np.random.default_rng(2)
    a, b, score = drawn(np.array([0.4, 0, -0.4]), 150, rng)
    times = 6  # each says it six times
    a, b, score, voter = (np.repeat(x, times) for x in (a, b, score, np.arange(150)))
    counts = tally(a, b, score, 3)
    alone, together = rate(counts), rate(counts, (voter, a, b, score))
    assert together.value == pytest.approx(alone.value)
    assert (together.high - together.low) / (alone.high - alone.low) == pytest.approx(
        np.sqrt(times), rel=0.02
    )
    own = np.arange(len(a))
    assert rate(counts, (own, a, b, score)).high == pytest.approx(alone.high, abs=0.1)
    assert rate(counts, (voter % 3, a, b, score)).high == pytest.approx(
        alone.high
    )  # too few voters


def test_few_voters_have_the_quantile_of_student() -> None:
    """Twice as many voters who say the same: half the variance, but for Student's t and the correction for few."""
    rng = np.random.default_rng(3)
    a, b, score = drawn(np.array([0.4, 0, -0.4]), 60, rng)
    a, b, score = (np.repeat(x, 5) for x in (a, b, score))
    voter = np.repeat(np.arange(12), 25)
    few = rate(tally(a, b, score, 3), (voter, a, b, score))
    twice = [np.concatenate([x, x]) for x in (a, b, score)]
    more = rate(tally(*twice, 3), (np.concatenate([voter, voter + 12]), *twice))
    wider = np.sqrt(2 * (12 / 11) / (24 / 23)) * student.ppf(0.975, 11) / student.ppf(0.975, 23)
    assert (few.high - few.low) / (more.high - more.low) == pytest.approx(wider)


VOTES = st.lists(
    st.tuples(st.integers(0, 4), st.integers(1, 4), st.sampled_from([0.0, 0.5, 1.0])), max_size=30
)


@settings(max_examples=50)
@given(VOTES)
def test_no_votes_are_too_odd_to_be_rated(votes) -> None:
    """Nobody won, nobody met, one vote, none: all figures are finite."""
    a, step, score = (
        (np.array(x) for x in zip(*votes, strict=True)) if votes else (np.zeros(0),) * 3
    )
    b = (a + step) % 5
    counts = tally(a, b, score, 5)
    found = rate(counts, (np.arange(len(a)), a.astype(int), b.astype(int), score))
    placed = ranks(found)
    assert (
        np.isfinite([found.value, found.low, found.high]).all()
        and np.isfinite(found.covariance).all()
    )
    assert (found.low <= found.value).all() and (found.value <= found.high).all()
    assert found.value.mean() == pytest.approx(CENTRE) and found.prior != has_maximum(counts)
    assert (
        (placed.best <= placed.worst).all()
        and (placed.best >= 1).all()
        and (placed.worst <= 5).all()
    )


def test_one_that_never_won_is_far_below_and_unsure() -> None:
    found = rate(tally([0] * 20, [1] * 20, [1.0] * 20, 2))
    assert found.prior and found.value[0] - found.value[1] > 400
    assert found.high[1] - found.low[1] > 400
    apart = rate(tally([0, 0, 2, 2], [1, 1, 3, 3], [1.0, 0.0, 1.0, 0.0], 4))
    assert apart.group.tolist() == [0, 0, 1, 1] and not ranks(apart).better.any()


def test_bad_votes_are_refused() -> None:
    for a, b, score in (([0], [0], [1.0]), ([0], [1], [0.3]), ([0], [1], [2.0])):
        with pytest.raises(ValueError):
            tally(a, b, score, 2)
    with pytest.raises(ValueError):
        rate(Tally(0, *(np.zeros(0, int) for _ in range(2)), *(np.zeros(0) for _ in range(2))))


def test_elo_is_judge_arenas() -> None:
    """Its formulas by hand: 1200, K 32, 400 points."""
    found = elo(np.array([0, 0, 1]), np.array([1, 2, 2]), np.array([1.0, 0.5, 0.0]), 4)
    first = 1200 + 32 * 0.5, 1200 - 32 * 0.5, 1200.0
    expected = 1 / (1 + 10 ** ((first[2] - first[0]) / 400))
    second = first[0] + 32 * (0.5 - expected), first[1], first[2] + 32 * (0.5 - (1 - expected))
    expected = 1 / (1 + 10 ** ((second[2] - second[1]) / 400))
    third = second[0], second[1] + 32 * (0 - expected), second[2] + 32 * (1 - (1 - expected))
    assert found.value == pytest.approx([*third, 1200])
    assert found.half == pytest.approx(
        [1.96 * 400 / np.sqrt(3)] * 3 + [0]
    ) and found.votes.tolist() == [2, 2, 2, 0]


def test_style_is_taken_out() -> None:
    """The weakest writes at length, and people like that: without the length he is the weakest again."""
    rng = np.random.default_rng(4)
    truth = np.array([0.5, 0.0, -0.5])
    n = 6000
    a = rng.integers(0, 3, n)
    b = (a + rng.integers(1, 3, n)) % 3
    long = np.array([100, 200, 500])
    x = relative(long[a] * rng.uniform(0.5, 1.5, n), long[b] * rng.uniform(0.5, 1.5, n))
    score = (rng.random(n) < expit(truth[a] - truth[b] + 2.0 * x)).astype(float)
    raw = rate(tally(a, b, score, 3))
    found = rate_styled(a, b, score, np.stack([x, np.zeros(n)], axis=1), 3)
    planted = CENTRE + SCALE * truth
    assert raw.value[2] > raw.value[0]
    assert ((found.ratings.low <= planted) & (planted <= found.ratings.high)).all()
    effect, none = found.effect
    assert effect.low is not None and effect.high is not None
    assert effect.low < 2.0 * np.sqrt((x**2).mean()) < effect.high and none.value is None


def test_without_features_it_is_the_plain_model() -> None:
    a, b, score = drawn(np.array([0.5, 0.1, -0.6]), 400, np.random.default_rng(6), ties=0.2)
    plain, styled = (
        rate(tally(a, b, score, 3)),
        rate_styled(a, b, score, np.empty((400, 0)), 3).ratings,
    )
    assert styled.value == pytest.approx(plain.value, abs=1e-3) and styled.low == pytest.approx(
        plain.low, abs=1e-3
    )
    assert relative([3, 0, 1], [1, 0, 0]).tolist() == [0.5, 0, 1]
