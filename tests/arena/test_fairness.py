"""Which votes count, and which voters have a habit: planted ones are found, honest ones are left alone."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import binom

from mene.arena.ballots import Ballots
from mene.arena.fairness import OWN_REPEATS, REPEATS, counted, suspects, tails
from mene.arena.leak import names_itself
from tests.arena.columns import ballots

TRUTH = np.array([0.8, 0.2, -0.2, -0.8])


def honest(seed: int, voters: int = 20, each: int = 30, length: float = 0.5) -> Ballots:
    """People who judge by strength, and who like the longer critique a little, all alike."""
    rng = np.random.default_rng(seed)
    n = voters * each
    a = rng.integers(0, 4, n)
    b = (a + rng.integers(1, 4, n)) % 4
    lengths = rng.integers(50, 500, (n, 2))
    longer = np.sign(lengths[:, 0] - lengths[:, 1])
    choice = (rng.random(n) > expit(TRUTH[a] - TRUTH[b] + length * longer)).astype(int)
    choice = np.where(rng.random(n) < 0.15, 2, choice)
    return ballots(a, b, choice, np.repeat(np.arange(voters), each), lengths)


def planted(made: Ballots, voter: int, choose) -> Ballots:
    """The same, where one voter chooses otherwise."""
    choice = made.choice.copy()
    for row in np.flatnonzero(made.voter == voter):
        choice[row] = choose(made, row)
    return ballots(made.a, made.b, choice, made.voter, made.style[:, :, 0])


def by_length(made: Ballots, row: int) -> int:
    return int(made.style[row, 0, 0] < made.style[row, 1, 0])


def for_the_last(made: Ballots, row: int) -> int:
    return 0 if made.a[row] == 3 else 1 if made.b[row] == 3 else int(made.choice[row])


@pytest.mark.parametrize(
    ("habit", "choose"),
    [
        ("left", lambda made, row: 0),
        ("right", lambda made, row: 1),
        ("longer", by_length),
        ("shorter", lambda made, row: 1 - by_length(made, row)),
        ("for", for_the_last),
    ],
)
def test_a_planted_habit_is_found(habit: str, choose) -> None:
    found = suspects(planted(honest(1, each=40), 7, choose))
    assert {one.voter for one in found} == {"v7"} and found[0].habit == habit
    assert found[0].judge == ("judge 3" if habit == "for" else "")
    assert found[0].did > found[0].expected and found[0].p < 1e-4


def test_honest_voters_are_left_alone() -> None:
    """At most one arena of a hundred has an alarm; of 60 arenas of 20 voters, four would be a mistake (p < 0.004)."""
    alarms = sum(bool(suspects(honest(seed))) for seed in range(60))
    assert alarms <= 3


def test_few_votes_say_nothing() -> None:
    assert suspects(planted(honest(2, voters=5, each=9), 0, lambda made, row: 0)) == []
    assert suspects(ballots([0], [1], [2], [0])) == []


def test_the_tails_are_exact() -> None:
    for count in (0, 3, 10):
        above, below = tails(np.full(10, 0.3), count)
        assert above == pytest.approx(binom.sf(count - 1, 10, 0.3)) and below == pytest.approx(
            binom.cdf(count, 10, 0.3)
        )
    above, below = tails(np.full(2000, 0.5), 1100)
    assert above == pytest.approx(binom.sf(1099, 2000, 0.5), rel=0.05) and below > 0.99


def test_what_does_not_count_is_counted_by_its_reason() -> None:
    n = 12
    made = ballots(np.zeros(n, int), np.ones(n, int), np.zeros(n, int), [0] * 8 + [1, 1, 2, 3], sample=np.zeros(n, int),
                   leaks=np.eye(1, n, 11, dtype=int)[0])  # fmt: skip
    found = counted(made, battles={"b9"}, voters={"v2"})
    assert found.left_out == {
        "battle moderated": 1,
        "voter moderated": 1,
        "a critique names its judge": 1,
        f"same voter, same sample, more than {OWN_REPEATS} times": 3,
    }
    assert np.flatnonzero(found.mask).tolist() == [0, 1, 2, 3, 4, 8]


def test_a_sample_that_many_paste_is_capped() -> None:
    sample = np.r_[np.zeros(100, int), np.ones(200, int), np.arange(2, 10_002)]
    n = len(sample)
    made = ballots(np.zeros(n, int), np.ones(n, int), np.zeros(n, int), np.arange(n), sample=sample)
    assert counted(made).left_out == {f"same sample, more than {REPEATS} times": 80 + 180}
    few = ballots([0] * 50, [1] * 50, [0] * 50, np.arange(50), sample=np.zeros(50, int))
    assert counted(few).mask.all() and REPEATS < 50  # a small set of samples is no attack


def test_a_critique_that_names_its_judge_leaks() -> None:
    assert names_itself("I am ChatGPT, and this is wrong.", "nano")
    assert names_itself("Selene-Mini thinks so.", "hf:AtlaAI/Selene-Mini")
    assert names_itself("nano says yes", "nano")
    assert not names_itself("On this base it is a small model answer.", "base")
    assert not names_itself("The openai docs say so.", "openai:gpt-9@http://localhost:8080/v1")
    assert not names_itself(None, "nano") and not names_itself("A nanosecond.", "nano")
