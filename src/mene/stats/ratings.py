"""Ratings from pairwise votes: the model of Bradley and Terry (1952, doi 10.1093/biomet/39.3-4.324), by maximum likelihood.

``P(i beats j) = 1 / (1 + exp(t_j - t_i))``. A vote for neither (a tie, or both bad) is half a win for each, as LMArena counts
it
(Chiang et al. 2024, arXiv 2403.04132; ``arena-rank``). The likelihood's own variance would then be wrong, so intervals use the
sandwich estimator (Huber 1967; White 1982), which is based on residuals. Votes of one voter may be correlated: with ``voters``,
the sandwich sums each voter's residuals first (Liang and Zeger 1986), and the wider of both intervals is used. With few voters
it uses the quantile of Student's t with one degree of freedom less than voters (Hansen 2007, doi
10.1016/j.jeconom.2006.10.009; Cameron and Miller 2015, doi 10.3368/jhr.50.2.317, on few clusters): with ten voters of
different tastes, the normal quantile covers 93 %.

Where the likelihood has no maximum (a player never won, or two groups never met: Ford 1957), each player gets one additional
imaginary vote (``PRIOR``), half won and half lost, against a player of average strength. All ratings stay finite, and
``Ratings.prior`` is True. No interval is then narrower than the likelihood with these votes implies.

Votes are first counted by pair and outcome, so that a million of them cost as much as a few thousand rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse, stats
from scipy.special import expit

from mene.stats.columns import Floats, Ints
from mene.stats.intervals import LEVEL

SCALE = 400 / math.log(10)  # points per unit of t: 400 points are odds of 10 to 1
CENTRE = 1000.0  # the mean rating
PRIOR = 1.0  # imaginary votes per player, where the likelihood has no maximum
FEW_VOTERS = 10  # with fewer voters, their residuals say nothing
_STEPS = 100
_TOLERANCE = 1e-12  # of the gradient, per vote


@dataclass(frozen=True, slots=True)
class Tally:
    """Votes, counted.

    Attributes:
        players: number of players.
        a, b: numbers of the two players of each group of equal votes, ``a`` < ``b``.
        score: of ``a``: 1, 0.5 or 0.
        times: number of votes in the group.
    """

    players: int
    a: Ints
    b: Ints
    score: Floats
    times: Floats

    @property
    def votes(self) -> int:
        """Total number of votes."""
        return int(self.times.sum())

    def met(self) -> Floats:
        """Return the number of votes between each two players, shape (players, players)."""
        return self._square(self.times) + self._square(self.times).T

    def won(self) -> Floats:
        """Return the points of each row's player against each column's, shape (players, players); half a point for a tie."""
        return self._square(self.times * self.score) + self._square(self.times * (1 - self.score)).T

    def _square(self, weights: Floats) -> Floats:
        n = self.players
        return np.bincount(self.a * n + self.b, weights, n * n).reshape(n, n).astype(np.float64)


@dataclass(frozen=True, slots=True)
class Ratings:
    """Ratings in points, 1000 on average.

    Attributes:
        value: of each player.
        low, high: ends of their 95 % intervals.
        covariance: of ``value``, in points squared.
        votes: of each player.
        prior: imaginary votes were needed: a player never won or never lost, or groups never met.
        group: of each player; players who met, directly or through others, share a group. Groups cannot be compared.
    """

    value: Floats
    low: Floats
    high: Floats
    covariance: Floats
    votes: Ints
    prior: bool
    group: Ints


def tally(a: npt.ArrayLike, b: npt.ArrayLike, score: npt.ArrayLike, players: int) -> Tally:
    """Count votes.

    Args:
        a, b: the two players of each vote, numbers from 0.
        score: of ``a``: 1, 0.5 (a tie, or both bad) or 0.
        players: number of players, including those without votes.

    Raises:
        ValueError: a player meets itself, or a score is another number.
    """
    a, b, score = np.asarray(a, np.int64), np.asarray(b, np.int64), np.asarray(score, np.float64)
    if (a == b).any():
        raise ValueError("a vote between a player and himself")
    halves = np.rint(2 * score).astype(np.int64)
    if (halves != 2 * score).any() or (halves < 0).any() or (halves > 2).any():
        raise ValueError("a score that is not 1, 0.5 or 0")
    turned = a > b
    first, second = np.where(turned, b, a), np.where(turned, a, b)
    key = (first * players + second) * 3 + np.where(turned, 2 - halves, halves)
    times = np.bincount(key, minlength=0)
    found = np.flatnonzero(times)
    pair = found // 3
    return Tally(
        players, pair // players, pair % players, found % 3 / 2, times[found].astype(float)
    )


def rate(counts: Tally, voters: tuple[Ints, Ints, Ints, Floats] | None = None) -> Ratings:
    """Return ratings with intervals from the sandwich estimator.

    Args:
        voters: ``(voter, a, b, score)`` of every vote, for intervals that allow for correlated votes of one voter; ``voter``
            is a number from 0.

    Raises:
        ValueError: there are no players.
    """
    if counts.players < 1:
        raise ValueError("no players")
    prior = 0.0 if has_maximum(counts) else PRIOR
    t = fit(counts, prior)
    bread = information(counts, t, prior)
    inverse = _inverse(bread)
    covariance = inverse @ _meat(counts, t) @ inverse
    if prior:  # a player who never won has small residuals, which say nothing about its rating
        covariance = _wider(covariance, inverse)
    if voters is not None and (found := _voters_meat(t, *voters)) is not None:
        covariance = _wider(covariance, inverse @ found @ inverse)
    return ratings_of(counts, t, covariance, bool(prior))


def ratings_of(counts: Tally, t: Floats, covariance: Floats, prior: bool) -> Ratings:
    """Return a fit in points."""
    value = CENTRE + SCALE * t
    covariance = SCALE**2 * covariance
    half = float(stats.norm.ppf(LEVEL)) * np.sqrt(np.maximum(0, np.diag(covariance)))
    votes = counts.met().sum(axis=1).astype(np.int64)
    _, group = sparse.csgraph.connected_components(counts.met() > 0, directed=False)
    return Ratings(value, value - half, value + half, covariance, votes, prior, group)


def bootstrap(counts: Tally, resamples: int = 500, seed: int = 0) -> Ratings:
    """Return ratings with percentile intervals of a multinomial bootstrap over the groups of equal votes.

    Where there is no maximum, the intervals are those of ``rate``: no resample has a win of a player who never won.
    """
    if not has_maximum(counts):
        return rate(counts)
    t = fit(counts)
    rng = np.random.default_rng(seed)
    found = np.empty((resamples, counts.players))
    for row, times in enumerate(
        rng.multinomial(counts.votes, counts.times / counts.votes, resamples).astype(float)
    ):
        drawn = Tally(counts.players, counts.a, counts.b, counts.score, times)
        found[row] = fit(drawn, 0.0 if has_maximum(drawn) else PRIOR, start=t)
    base = ratings_of(counts, t, np.cov(found.T).reshape(len(t), len(t)), prior=False)
    ends = CENTRE + SCALE * np.percentile(found, (100 * (1 - LEVEL), 100 * LEVEL), axis=0)
    low, high = np.minimum(ends[0], base.value), np.maximum(ends[1], base.value)
    return Ratings(base.value, low, high, base.covariance, base.votes, base.prior, base.group)


def has_maximum(counts: Tally) -> bool:
    """Return whether every player beat every other, directly or through others (Ford 1957); else a rating is infinite."""
    beaten = counts.won() > 0
    parts, _ = sparse.csgraph.connected_components(beaten, directed=True, connection="strong")
    return parts == 1


def fit(counts: Tally, prior: float = 0.0, start: Floats | None = None) -> Floats:
    """Return the ``t`` of maximum likelihood, with mean 0, by Newton's method with step halving.

    Args:
        prior: imaginary votes of each player against one of strength 0.
        start: initial value.
    """
    t = np.zeros(counts.players) if start is None else start - start.mean()
    votes = max(1.0, counts.times.sum())
    value = _loss(counts, t, prior)
    for _ in range(_STEPS):
        slope = _slope(counts, t, prior)
        if np.abs(slope).max() <= _TOLERANCE * votes:
            break
        step = np.linalg.solve(_held(information(counts, t, prior)), slope)
        size = 1.0
        while (after := _loss(counts, t + size * step, prior)) > value and size > 1e-9:
            size /= 2
        if after >= value:  # only rounding errors are left
            break
        t, value = t + size * step, after
    return t - t.mean()


def information(counts: Tally, t: Floats, prior: float = 0.0) -> Floats:
    """Return the Hessian of the negative log-likelihood, shape (players, players)."""
    chance = expit(t[counts.a] - t[counts.b])
    own = expit(t)
    return laplacian(counts, counts.times * chance * (1 - chance)) + np.diag(
        prior * own * (1 - own)
    )


def laplacian(counts: Tally, weights: Floats) -> Floats:
    """Return ``sum of weight * (e_a - e_b)(e_a - e_b)^T``."""
    n = counts.players
    half = np.bincount(counts.a * n + counts.b, weights, n * n).reshape(n, n).astype(np.float64)
    off = half + half.T
    return np.diag(off.sum(axis=1)) - off


def _loss(counts: Tally, t: Floats, prior: float) -> float:
    apart = t[counts.a] - t[counts.b]
    each = counts.times * (np.logaddexp(0, apart) - counts.score * apart)
    return float(each.sum() + prior * (np.logaddexp(0, t) - t / 2).sum())


def _slope(counts: Tally, t: Floats, prior: float) -> Floats:
    """Return the gradient of the log-likelihood."""
    rest = counts.times * (counts.score - expit(t[counts.a] - t[counts.b]))
    n = counts.players
    got = np.asarray(np.bincount(counts.a, rest, n) - np.bincount(counts.b, rest, n), np.float64)
    return got + prior * (0.5 - expit(t))


def _meat(counts: Tally, t: Floats) -> Floats:
    rest = counts.score - expit(t[counts.a] - t[counts.b])
    return laplacian(counts, counts.times * rest**2)


def _voters_meat(t: Floats, voter: Ints, a: Ints, b: Ints, score: Floats) -> Floats | None:
    """Return the same with each voter's residuals summed first, scaled so that normal quantiles give Student's t; None with too
    few voters."""
    count = int(voter.max()) + 1 if len(voter) else 0
    if count < FEW_VOTERS:
        return None
    rest = score - expit(t[a] - t[b])
    n = len(t)
    rows = np.concatenate([voter, voter])
    columns, values = np.concatenate([a, b]), np.concatenate([rest, -rest])
    sums = sparse.csr_matrix((values, (rows, columns)), shape=(count, n))
    wider = (stats.t.ppf(LEVEL, count - 1) / stats.norm.ppf(LEVEL)) ** 2
    return (sums.T @ sums).toarray() * wider * count / (count - 1)


def _held(matrix: Floats) -> Floats:
    """Return a Hessian that can be solved: the votes leave the mean open, so it is fixed."""
    n = len(matrix)
    return matrix + np.full((n, n), max(np.trace(matrix), 1e-9) / n**2)


def _inverse(matrix: Floats) -> Floats:
    """Return the inverse for ratings with mean 0."""
    n = len(matrix)
    centre = np.eye(n) - 1 / n
    return centre @ np.linalg.inv(_held(matrix)) @ centre


def _wider(one: Floats, other: Floats) -> Floats:
    return one if np.trace(one) >= np.trace(other) else other
