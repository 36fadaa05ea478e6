"""Choosing the two judges of a battle: pairs for which one more vote is most informative are likeliest.

A vote between two judges reduces the variance ``V`` of the difference of their ratings by ``V^2 w / (1 + V w)``, where ``w``
is the
variance of the vote. Pairs are drawn in proportion to that, times both judges' weights; drawn at random, since many people are
asked at once. ``V`` is based on the votes so far plus one imaginary vote per judge, so that pairs that never met are the least
certain. (LMArena samples by the same idea: Chiang et al. 2024, arXiv 2403.04132, section 5.)
"""

from __future__ import annotations

import random
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from mene.arena.words import ArenaError
from mene.stats.columns import Floats
from mene.stats.ratings import PRIOR, Tally, fit, information

NEW = 20  # a judge with fewer votes is new
SHARE = 0.5  # share of the battles for new judges, while there are any


@dataclass(frozen=True)
class Pairing:
    """The two judges of a battle.

    Attributes:
        a, b: the judges; ``a`` is shown on the left.
        seed: reproduces the pairing from the same votes and judges.
    """

    a: str
    b: str
    seed: int


def choose(
    judges: Sequence[str],
    counts: Tally,
    *,
    down: Collection[str] = (),
    weights: Mapping[str, float] | None = None,
    avoid: Collection[str] = (),
    seed: int | None = None,
) -> Pairing:
    """Choose two judges and their sides.

    Args:
        judges: all of them.
        counts: their votes so far; the players are ``judges`` in this order.
        down: judges that do not answer now.
        weights: factor for how often a judge is shown; default 1, 0 for never.
        avoid: two judges that just met; they do not meet again, unless there are no others.
        seed: of the draw; random by default.

    Raises:
        ArenaError: fewer than two judges are available.
    """
    seed = secrets.randbits(62) if seed is None else seed
    draw = random.Random(seed)
    weight = np.array([0.0 if name in down else (weights or {}).get(name, 1.0) for name in judges])
    if (weight < 0).any() or not np.isfinite(weight).all():
        raise ArenaError("a judge's weight is 0 or a positive number")
    if (weight > 0).sum() < 2:
        raise ArenaError("fewer than two judges answer now; try again later")
    gain = learned(counts) * np.outer(weight, weight)
    new = (counts.met().sum(axis=1) < NEW) & (weight > 0)
    if new.any() and draw.random() < SHARE:
        gain = np.where(new[:, None] | new, gain, 0)
    again = np.array([name in avoid for name in judges])
    others = np.where(np.outer(again, again), 0, gain)
    gain = others if others.any() else gain
    first, second = np.triu_indices(len(judges), 1)
    shares = gain[first, second]
    place = draw.choices(range(len(first)), weights=shares.tolist())[0]
    one, other = judges[int(first[place])], judges[int(second[place])]
    return Pairing(one, other, seed) if draw.random() < 0.5 else Pairing(other, one, seed)


def learned(counts: Tally) -> Floats:
    """Return the reduction of variance by one vote between each two judges, shape (judges, judges)."""
    t = fit(counts, PRIOR)
    spread = np.linalg.inv(information(counts, t, PRIOR))
    own = np.diag(spread)
    variance = np.maximum(0, own[:, None] + own - 2 * spread)
    chance = expit(t[:, None] - t)
    vote = chance * (1 - chance)
    return variance**2 * vote / (1 + variance * vote)
