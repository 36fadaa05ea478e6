"""Thresholds keep what they promise: planted errors, many draws, the truth known."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mene.stats.promised import Cut, finding, first_rank, furthest, least_risk, least_rows

GRID = np.linspace(0, 1, 4001)
SETS = 300

# Score -> how often a row with it is wrong. Scores are uniform, or of so many steps.
WORLDS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], int | None]] = {
    "a little too often everywhere": (lambda s: np.full_like(s, 0.102), None),
    "the less sure the worse": (lambda s: 0.3 * (1 - s), None),
    "the surest are the worst": (
        lambda s: np.where(s > 0.97, 0.6, np.where(s > 0.4, 0.02, 0.4)),
        None,
    ),
    "up and down": (lambda s: 0.1 + 0.08 * np.sin(40 * s), None),
    "votes, with many ties": (lambda s: 0.3 * (1 - s), 12),
}


def draw(rng, rows: int, world: str) -> tuple[np.ndarray, np.ndarray]:
    often, steps = WORLDS[world]
    s = rng.random(rows) if steps is None else rng.integers(0, steps, rows) / (steps - 1)
    return s, (rng.random(rows) < often(s)).astype(np.int64)


def truth(world: str, at: float) -> float:
    often, steps = WORLDS[world]
    scores = GRID if steps is None else np.arange(steps) / (steps - 1)
    return float(often(scores[scores >= at]).mean())


def too_often(broken: int, times: int, allowed: float) -> bool:
    """Would a promise that is kept be broken so often in fewer than 1 of 1000 such tests?"""
    return bool(stats.binomtest(broken, times, allowed, alternative="greater").pvalue < 1e-3)


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("rows", [60, 300])
def test_at_most_so_many_are_wrong_as_often_as_promised(world: str, rows: int) -> None:
    rng = np.random.default_rng(rows)
    broken = 0
    for seed in range(SETS):
        s, wrong = draw(rng, rows, world)
        cut = furthest(s, wrong, 0.1, 0.9, np.zeros(rows), seed)
        broken += cut is not None and truth(world, cut.at) > 0.1
    assert not too_often(broken, SETS, 0.1)


def test_a_good_judge_decides_nearly_all_that_it_may() -> None:
    """A promise that is kept by promising nothing would be no use."""
    rng, taken = np.random.default_rng(0), []
    for seed in range(50):  # of the surest two thirds 10 % are wrong
        s, wrong = draw(rng, 1000, "the less sure the worse")
        cut = furthest(s, wrong, 0.1, 0.9, np.zeros(1000), seed)
        taken.append(0 if cut is None else cut.taken / 1000)
    assert 0.4 < np.median(taken) < 0.67


def test_a_test_of_the_tests_sees_a_threshold_without_a_promise() -> None:
    """The lowest threshold at which the labelled rows themselves keep the error breaks it half of the times."""
    rng, broken = np.random.default_rng(1), 0
    for _ in range(SETS):
        s, wrong = draw(rng, 300, "the less sure the worse")
        order = np.argsort(-s)
        share = np.cumsum(wrong[order]) / np.arange(1, 301)
        at = float(s[order][np.flatnonzero(share <= 0.1)[-1]])
        broken += truth("the less sure the worse", at) > 0.1
    assert too_often(broken, SETS, 0.1)


@pytest.mark.parametrize("recall", [0.8, 0.95])
def test_at_least_so_many_are_found_as_often_as_promised(recall: float) -> None:
    rng, broken, found = np.random.default_rng(2), 0, []
    for _ in range(SETS):
        cut = finding(rng.random(120), recall, 0.9)
        assert cut is not None
        found.append(1 - cut.at)
        broken += 1 - cut.at < recall
    assert not too_often(broken, SETS, 0.1)
    assert np.median(found) < recall + 0.06  # and not more than it must


@settings(max_examples=40)
@given(st.floats(0.001, 0.9), st.floats(0.5, 0.999))
def test_the_fewest_rows_are_those_that_can_promise_it(risk: float, confidence: float) -> None:
    least = least_rows(risk, confidence)
    assert (1 - risk) ** least <= 1 - confidence + 1e-9
    assert least == 1 or (1 - risk) ** (least - 1) > 1 - confidence - 1e-9
    assert least_risk(least, confidence) <= risk + 1e-9
    right = np.zeros(least, np.int64)
    scores = np.linspace(0, 1, least)
    assert furthest(scores, right, risk + 1e-9, confidence, scores) is not None
    assert furthest(scores[1:], right[1:], risk - 1e-9, confidence, scores[1:]) is None


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=80),
    st.sampled_from([0.05, 0.2, 0.5]),
    st.sampled_from([0.6, 0.9]),
)
def test_a_threshold_says_of_its_rows_what_is_so(rows, risk: float, confidence: float) -> None:
    scores = np.array([s / 5 for s, _ in rows])
    wrong = np.array([int(w) for _, w in rows])
    cut = furthest(scores, wrong, risk, confidence, np.zeros(len(rows)))
    if cut is None:
        return
    taken = scores >= cut.at  # no row of one score is taken without the others
    assert cut == Cut(cut.at, int(taken.sum()), int(wrong[taken].sum()), len(rows))
    assert stats.binom.cdf(cut.wrong, cut.taken, risk) <= 1 - confidence
    assert cut.taken >= first_rank(len(rows), risk, confidence)


def test_shares_next_to_nothing_cost_no_time() -> None:
    assert least_rows(1e-12, 0.9) == pytest.approx(math.log(10) * 1e12, rel=1e-3)
    assert furthest(np.ones(50), np.zeros(50, np.int64), 1e-300, 0.9, np.zeros(50)) is None
    assert finding(np.ones(3), 0.9, 0.9) is None
    assert finding(np.ones(0), 0.9, 0.9) is None
