"""Elo as Judge Arena computes it (``atla-ai/judge-arena``, ``leaderboard.py``), to compare with its tables.

Every judge starts at 1200, and each vote in turn moves both ratings by 32 times the unexpected part of its score. The result
depends on the order of the votes. Judge Arena's "interval", 1.96 * 400 / sqrt(votes + 1), depends only on their number and is
not a confidence interval. mene's own rating is that of ``ratings.py``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mene.stats.columns import Floats, Ints

START = 1200.0
K = 32.0


@dataclass(frozen=True, slots=True)
class Elo:
    """Elo ratings.

    Attributes:
        value: points of each player.
        half: what Judge Arena shows after ±; 0 without votes.
        votes: number of votes of each player.
    """

    value: Floats
    half: Floats
    votes: Ints


def elo(a: Ints, b: Ints, score: Floats, players: int) -> Elo:
    """Replay all votes in their order.

    Args:
        a, b: the players of each vote, numbers from 0.
        score: of ``a``: 1, 0.5 or 0. Judge Arena has ties; both bad counts as one.
    """
    points = [START] * players
    for one, other, got in zip(a.tolist(), b.tolist(), score.tolist(), strict=True):
        expected = 1 / (1 + 10 ** ((points[other] - points[one]) / 400))
        points[one] += K * (got - expected)
        points[other] += K * ((1 - got) - (1 - expected))
    votes = np.bincount(a, minlength=players) + np.bincount(b, minlength=players)
    half = np.where(votes > 0, 1.96 * 400 / np.sqrt(votes + 1), 0.0)
    return Elo(np.array(points), half, votes)
