"""Ratings adjusted for the style of the responses: the model of Bradley and Terry with covariates.

``P(i beats j) = 1 / (1 + exp(-(t_i - t_j + x . c)))``, where ``x`` is the difference in style. As in LMArena's style control
(Li, Angelopoulos and Chiang 2024, "Does style matter?"), each feature is (a - b) / (a + b), divided by its standard deviation.
``arena-rank`` shrinks the coefficients strongly by a penalty of 1 per vote; here they are not penalised.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats
from scipy.special import expit

from mene.stats.columns import Floats, Ints
from mene.stats.intervals import LEVEL, Figure
from mene.stats.ratings import (
    PRIOR,
    Ratings,
    fit,
    has_maximum,
    ratings_of,
    tally,
)

_STEPS = 50
_RIDGE = 1e-6  # per vote; lets two equal features share their coefficient


@dataclass(frozen=True, slots=True)
class Styled:
    """Ratings adjusted for style.

    Attributes:
        ratings: as if both responses had the same style.
        effect: of each feature: change in log-odds per standard deviation, with its interval.
    """

    ratings: Ratings
    effect: list[Figure]


def relative(a: npt.ArrayLike, b: npt.ArrayLike) -> Floats:
    """Return the relative difference (a - b) / (a + b), from -1 to 1; 0 where both are 0."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    both = a + b
    return np.where(both > 0, (a - b) / np.where(both > 0, both, 1), 0.0)


def rate_styled(a: Ints, b: Ints, score: Floats, features: Floats, players: int) -> Styled:
    """Return ratings with intervals (sandwich estimator), and the effects of the features.

    Args:
        a, b, score: see ``ratings.tally``.
        features: shape (votes, features), each with opposite sign when ``a`` and ``b`` are exchanged. One that never varies
            has no effect.
    """
    counts = tally(a, b, score, players)
    prior = 0.0 if has_maximum(counts) else PRIOR
    spread = np.sqrt((features**2).mean(axis=0)) if len(features) else np.zeros(features.shape[1])
    varies = np.flatnonzero(spread > 1e-9)
    x = features[:, varies] / spread[varies]
    model = _Model(a, b, score, x, players, prior)
    both = np.concatenate([fit(counts, prior), np.zeros(len(varies))])
    value = model.loss(both)
    for _ in range(_STEPS):
        slope, hessian = model.slope(both), model.hessian(both)
        step = np.linalg.solve(model.held(hessian), slope)
        size = 1.0
        while (after := model.loss(both + size * step)) > value and size > 1e-9:
            size /= 2
        if after >= value - 1e-12 * max(1.0, abs(value)):
            break
        both, value = both + size * step, after
    both[:players] -= both[:players].mean()
    inverse = np.linalg.inv(model.held(model.hessian(both)))
    inverse[:players] -= inverse[:players].mean(axis=0)
    inverse[:, :players] -= inverse[:, :players].mean(axis=1, keepdims=True)
    covariance = np.asarray(inverse @ model.meat(both) @ inverse, np.float64)
    if prior and np.trace(inverse) > np.trace(covariance):
        covariance = np.asarray(inverse, np.float64)
    z = float(stats.norm.ppf(LEVEL))
    errors = np.sqrt(np.maximum(0, np.diag(covariance)[players:]))
    effect = [Figure(None, None, None, len(a))] * features.shape[1]
    for place, found, error in zip(varies, both[players:], errors, strict=True):
        low, high = float(found - z * error), float(found + z * error)
        effect[place] = Figure(float(found), low, high, len(a))
    rated = ratings_of(counts, both[:players], covariance[:players, :players], bool(prior))
    return Styled(rated, effect)


@dataclass(frozen=True, slots=True)
class _Model:
    a: Ints
    b: Ints
    score: Floats
    x: Floats
    players: int
    prior: float

    def _odds(self, both: Floats) -> Floats:
        t = both[: self.players]
        return t[self.a] - t[self.b] + self.x @ both[self.players :]

    def loss(self, both: Floats) -> float:
        odds, t, c = self._odds(both), both[: self.players], both[self.players :]
        each = np.logaddexp(0, odds) - self.score * odds
        held = self.prior * (np.logaddexp(0, t) - t / 2).sum()
        return float(each.sum() + held + len(odds) * _RIDGE / 2 * (c @ c))

    def slope(self, both: Floats) -> Floats:
        rest = self.score - expit(self._odds(both))
        t, c = both[: self.players], both[self.players :]
        own = self._sums(rest) + self.prior * (0.5 - expit(t))
        return np.concatenate([own, self.x.T @ rest - len(rest) * _RIDGE * c])

    def hessian(self, both: Floats) -> Floats:
        chance, own = expit(self._odds(both)), expit(both[: self.players])
        found = self._products(chance * (1 - chance))
        found[np.diag_indices(self.players)] += self.prior * own * (1 - own)
        found[self.players :, self.players :] += np.eye(self.x.shape[1]) * len(chance) * _RIDGE
        return found

    def meat(self, both: Floats) -> Floats:
        return self._products((self.score - expit(self._odds(both))) ** 2)

    def held(self, hessian: Floats) -> Floats:
        """Fix the mean of the ratings, which the votes leave open."""
        n = self.players
        found = hessian.copy()
        found[:n, :n] += max(np.trace(hessian[:n, :n]), 1e-9) / n**2
        return found

    def _sums(self, weights: Floats) -> Floats:
        n = self.players
        got = np.bincount(self.a, weights, n) - np.bincount(self.b, weights, n)
        return np.asarray(got, np.float64)

    def _products(self, weights: Floats) -> Floats:
        """Return ``sum of weight * z z^T`` over the rows ``z`` of the design: players and features."""
        n, k = self.players, self.x.shape[1]
        found = np.empty((n + k, n + k))
        pairs = self.a * n + self.b
        off = np.bincount(pairs, weights, n * n).reshape(n, n)
        off = off + off.T
        found[:n, :n] = np.diag(off.sum(axis=1)) - off
        for place in range(k):
            found[n + place, :n] = found[:n, n + place] = self._sums(weights * self.x[:, place])
        found[n:, n:] = (self.x * weights[:, None]).T @ self.x
        return found
