"""Which votes count, and which voters seem not to judge: always one side, always one judge, always the longer critique.

Excluded votes are counted by reason, never dropped silently. Suspicious voters are shown to the arena's operator, who decides
(``mene arena moderate``): no test alone excludes anyone.

The tests compare a voter with the others. A model of all votes gives the probability of each vote: the model of Bradley and
Terry, with common effects of the left side and of the longer critique. A voter's sum over many votes is then Poisson-binomial,
with an exact probability. Over all voters and tests, the probability that any honest voter is named is at most ``ALARM`` (Holm
1979). A genuine taste for long critiques looks like a habit and is named too; and if most voters have a habit, it is the
norm and not detected.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy import stats
from scipy.special import expit

from mene.arena.ballots import Ballots
from mene.stats.columns import Floats, Ints
from mene.stats.ratings import CENTRE, SCALE
from mene.stats.ratings_style import rate_styled

ALARM = 0.01
FEWEST = 10  # fewest votes for one of two judges, to test a voter
OWN_REPEATS = 5  # maximum counted votes of one voter on one sample
REPEATS = 20  # votes on one sample that always count
_FAR = 3.0  # standard deviations; below this, no test can be significant
# Of the votes per sample: above it, many people pasted the same sample (FastChat, ``monitor/clean_battle_data.py``).
PERCENTILE = 99.99
MANY = 10_000  # with fewer samples, that percentile is simply the maximum
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Counted:
    """Which votes count.

    Attributes:
        mask: True where a vote counts.
        left_out: reason -> votes.
    """

    mask: Mask
    left_out: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Suspect:
    """A voter with a habit.

    Attributes:
        voter: the salted hash.
        habit: ``left`` or ``right``, ``for`` or ``against`` a judge, ``longer`` or ``shorter``.
        judge: the judge, if the habit is about one; else empty.
        votes: number of votes tested (without ties).
        did, expected: how often the voter did it, and how often others would have.
        p: probability for an honest voter; compared with ``ALARM`` over all voters together.
    """

    voter: str
    habit: str
    judge: str
    votes: int
    did: int
    expected: float
    p: float


def counted(
    ballots: Ballots, battles: Collection[str] = (), voters: Collection[str] = ()
) -> Counted:
    """Return which votes count; each excluded one has its first reason.

    Args:
        battles, voters: excluded by moderation.
    """
    mask = np.ones(len(ballots), bool)
    reasons: dict[str, int] = {}

    def leave(out: Mask, why: str) -> None:
        nonlocal mask
        if count := int((mask & out).sum()):
            reasons[why] = count
        mask = mask & ~out

    if battles:
        gone = set(battles)
        leave(np.array([name in gone for name in ballots.battles], bool), "battle moderated")
    if voters:
        gone = set(voters)
        numbers = [place for place, name in enumerate(ballots.voters) if name in gone]
        leave(np.isin(ballots.voter, numbers), "voter moderated")
    leave(ballots.leaks.astype(bool), "a critique names its judge")
    own = ballots.voter * max(1, len(ballots.samples)) + ballots.sample
    leave(
        _place(own, mask) >= OWN_REPEATS, f"same voter, same sample, more than {OWN_REPEATS} times"
    )
    times = np.bincount(ballots.sample[mask], minlength=1)
    times = times[times > 0]
    if len(times) >= MANY:
        most = max(REPEATS, int(np.percentile(times, PERCENTILE, method="lower")))
        leave(_place(ballots.sample, mask) >= most, f"same sample, more than {most} times")
    return Counted(mask, reasons)


def suspects(ballots: Ballots, mask: Mask | None = None) -> list[Suspect]:
    """Return voters with a habit, the most certain first.

    Args:
        mask: the votes that count; moderated voters are not tested again.
    """
    rows = np.flatnonzero((ballots.choice < 2) & (True if mask is None else mask))
    voter = ballots.voter[rows]
    often = np.bincount(voter, minlength=len(ballots.voters)) >= FEWEST
    if not often.any():
        return []
    a, b = ballots.a[rows], ballots.b[rows]
    won = (ballots.choice[rows] == 0).astype(np.float64)
    longer = np.sign(ballots.style[rows, 0, 0] - ballots.style[rows, 1, 0]).astype(np.float64)
    chance = _expected(a, b, won, longer, len(ballots.judges))
    found: list[Suspect] = []
    tests = 0

    def ask(names: tuple[str, str], who: Ints, did: Floats, p: Floats, judge: str = "") -> None:
        nonlocal tests
        size = len(often)
        votes, times = np.bincount(who, minlength=size), np.bincount(who, did, size)
        likely, spread = np.bincount(who, p, size), np.bincount(who, p * (1 - p), size)
        tests += int((votes >= FEWEST).sum())
        far = np.abs(times - likely) > _FAR * np.sqrt(spread)
        for number in np.flatnonzero((votes >= FEWEST) & far):
            own = p[who == number]
            count, done = int(votes[number]), int(times[number])
            above, below = tails(own, done)
            name, expected = names[0], float(own.sum())
            if below < above:  # test the opposite habit
                name, done, expected = names[1], count - done, count - expected
            value = min(1.0, 2 * min(above, below))
            found.append(Suspect(ballots.voters[number], name, judge, count, done, expected, value))

    tested = often[voter]
    ask(("left", "right"), voter[tested], won[tested], chance[tested])
    long = tested & (longer != 0)
    ask(
        ("longer", "shorter"),
        voter[long],
        np.where(longer > 0, won, 1 - won)[long],
        np.where(longer > 0, chance, 1 - chance)[long],
    )
    for judge, name in enumerate(ballots.judges):
        here = tested & ((a == judge) | (b == judge))
        side = a[here] == judge
        ask(
            ("for", "against"),
            voter[here],
            np.where(side, won[here], 1 - won[here]),
            np.where(side, chance[here], 1 - chance[here]),
            name,
        )
    return _holm(found, tests)


def tails(chances: Floats, count: int) -> tuple[float, float]:
    """Return ``P(X >= count)`` and ``P(X <= count)`` for the number ``X`` of successes in trials with these probabilities.

    Exact, by convolution; with more than 1,000 trials, by the normal approximation.
    """
    n = len(chances)
    if n > 1000:
        spread = float(np.sqrt((chances * (1 - chances)).sum()))
        centre = float(chances.sum())
        return (
            float(stats.norm.sf(count - 0.5, centre, spread)),
            float(stats.norm.cdf(count + 0.5, centre, spread)),
        )
    found = np.ones(1)
    for chance in chances:
        found = np.convolve(found, (1 - chance, chance))
    return float(min(1.0, found[count:].sum())), float(min(1.0, found[: count + 1].sum()))


def _expected(a: Ints, b: Ints, won: Floats, longer: Floats, judges: int) -> Floats:
    """Return the probability of each vote for seat a."""
    features = np.stack([np.ones(len(a)), longer], axis=1)
    styled = rate_styled(a, b, won, features, judges)
    t = (styled.ratings.value - CENTRE) / SCALE
    odds = t[a] - t[b]
    spread = np.sqrt((features**2).mean(axis=0))
    for place, effect in enumerate(styled.effect):
        if effect.value is not None:
            odds = odds + effect.value * features[:, place] / spread[place]
    return np.clip(expit(odds), 0.002, 0.998)  # bounded, so that a single odd vote proves nothing


def _holm(found: list[Suspect], tests: int) -> list[Suspect]:
    ordered = sorted(found, key=lambda one: one.p)
    kept = []
    for place, one in enumerate(ordered):
        if one.p > ALARM / (tests - place):
            break
        kept.append(one)
    return kept


def _place(key: Ints, mask: Mask) -> Ints:
    """Return for each row that counts how many earlier rows have the same key."""
    place = np.zeros(len(key), np.int64)
    rows = np.flatnonzero(mask)
    order = rows[np.argsort(key[rows], kind="stable")]
    ordered = key[order]
    starts = (
        np.r_[0, np.flatnonzero(np.diff(ordered)) + 1] if len(ordered) else np.empty(0, np.int64)
    )
    lengths = np.diff(np.r_[starts, len(ordered)])
    place[order] = np.arange(len(ordered)) - np.repeat(starts, lengths)
    return place
