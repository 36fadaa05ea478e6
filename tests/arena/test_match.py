"""Which two judges meet, and on which sides."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from mene.arena.match import NEW, choose, learned
from mene.arena.words import ArenaError
from mene.stats.ratings import tally

JUDGES = ("a", "b", "c", "d")


def met(times: dict[tuple[int, int], int]):
    """Votes between judges, half of them won by each."""
    one = np.array([pair[0] for pair, n in times.items() for _ in range(n)], int)
    other = np.array([pair[1] for pair, n in times.items() for _ in range(n)], int)
    return tally(one, other, np.arange(len(one)) % 2, len(JUDGES))


EVEN = met({(i, j): 40 for i in range(4) for j in range(i)})


def test_a_seed_gives_the_same_pair_and_sides_are_drawn() -> None:
    assert choose(JUDGES, EVEN, seed=3) == choose(JUDGES, EVEN, seed=3)
    drawn = [choose(JUDGES, EVEN, seed=seed) for seed in range(600)]
    sides = Counter((one.a, one.b) for one in drawn)
    assert len(sides) == 12 and min(sides.values()) > 25 and max(sides.values()) < 80  # 50 expected
    assert choose(JUDGES, EVEN).seed != choose(JUDGES, EVEN).seed


def test_the_least_certain_pair_meets_most() -> None:
    counts = met({(0, 1): 300, (2, 3): 30, (0, 2): 30, (1, 3): 30})
    gain = learned(counts)
    assert gain[2, 3] > 5 * gain[0, 1] and np.allclose(gain, gain.T)
    drawn = Counter(
        frozenset((one.a, one.b)) for one in (choose(JUDGES, counts, seed=s) for s in range(300))
    )
    assert drawn[frozenset("cd")] > 3 * drawn[frozenset("ab")]


def test_new_judges_come_first() -> None:
    counts = met({(0, 1): 99, (0, 2): 99, (1, 2): 99, (0, 3): NEW - 1})
    drawn = [choose(JUDGES, counts, seed=seed) for seed in range(200)]
    assert sum("d" in (one.a, one.b) for one in drawn) > 100
    nothing = [choose(JUDGES, met({}), seed=seed) for seed in range(50)]
    assert {one.a for one in nothing} == set(JUDGES)


def test_who_is_down_or_has_no_weight_is_left_out() -> None:
    for seed in range(30):
        one = choose(JUDGES, EVEN, down={"a"}, weights={"b": 0.0}, seed=seed)
        assert {one.a, one.b} == {"c", "d"}
    drawn = [choose(JUDGES, EVEN, weights={"a": 10.0}, seed=seed) for seed in range(200)]
    assert sum("a" in (one.a, one.b) for one in drawn) > 150
    for how in ({"down": {"a", "b", "c"}}, {"weights": {"a": -1.0}}):
        with pytest.raises(ArenaError):
            choose(JUDGES, EVEN, **how)


def test_a_pair_does_not_meet_again_at_once() -> None:
    for seed in range(50):
        one = choose(JUDGES, EVEN, avoid=("a", "b"), seed=seed)
        assert {one.a, one.b} != {"a", "b"}
    two = choose(("a", "b"), tally([], [], [], 2), avoid=("a", "b"), seed=1)
    assert {two.a, two.b} == {"a", "b"}
