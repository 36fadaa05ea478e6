"""Ranks that hold for all players at once: which players are better than which, with 95 % confidence for all pairs together.

Mogstad, Romano, Shaikh and Wilhelm (2024), "Inference for Ranks", Review of Economic Studies 91(1), doi 10.1093/restud/rdad006:
all differences of two ratings get one critical value, the 95th percentile of the largest of their studentised errors. Comparing
intervals of single ratings would be wrong: it ignores that the errors of two ratings are correlated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mene.stats.columns import Ints
from mene.stats.ratings import Ratings

DRAWS = 4000
_BLOCK = 500


@dataclass(frozen=True, slots=True)
class Ranks:
    """Rank ranges.

    Attributes:
        best: of each player, 1 + the number of players that are significantly better.
        worst: number of players, minus those that are significantly worse.
        better: shape (players, players): the row's player is significantly better than the column's.
    """

    best: Ints
    worst: Ints
    better: npt.NDArray[np.bool_]


def ranks(ratings: Ratings, seed: int = 0) -> Ranks:
    """Return rank ranges. Players of groups that never met are not compared."""
    n = len(ratings.value)
    spread = ratings.covariance
    variance = np.diag(spread)
    error = np.sqrt(np.maximum(0, variance[:, None] + variance - 2 * spread))
    alike = ratings.group[:, None] == ratings.group
    compared = alike & (error > 0) & (ratings.votes > 0) & (ratings.votes > 0)[:, None]
    above, below = np.nonzero(np.triu(compared, 1))
    better = np.zeros((n, n), bool)
    if len(above):
        values, vectors = np.linalg.eigh(spread)
        root = vectors * np.sqrt(np.maximum(0, values))
        rng = np.random.default_rng(seed)
        most = []
        for _ in range(0, DRAWS, _BLOCK):
            drawn = rng.standard_normal((_BLOCK, n)) @ root.T
            far = np.abs(drawn[:, above] - drawn[:, below]) / error[above, below]
            most.append(far.max(axis=1))
        limit = float(np.quantile(np.concatenate(most), 0.95))
        apart = ratings.value[:, None] - ratings.value
        better = compared & (apart > limit * error)
    return Ranks(1 + better.sum(axis=0), n - better.sum(axis=1), better)
