"""A judge before and after it was trained on a user's labels, on rows that it was not trained on."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from mene.bench.align.align import Held, held_of
from mene.scale import Scale
from mene.stats.clusters import clusters
from mene.stats.intervals import Figure
from mene.stats.paired import Means, difference
from mene.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Tuned:
    """What the training brought on the rows that both judges judged.

    Attributes:
        before, after: the two judges.
        gained, lost: number of rows that only the judge after, or only the one before, labels right.
        more: accuracy after minus before, with its interval.
        p: two-sided, of no difference (``stats.paired.sign_flips``).
    """

    before: Held
    after: Held
    gained: int
    lost: int
    more: Figure
    p: float


def tuned(
    scale: Scale,
    gold: Sequence[str],
    before: Sequence[Verdict],
    after: Sequence[Verdict],
    groups: Sequence[Hashable],
) -> Tuned:
    """Compare the verdicts of two judges, all with probabilities, on the same rows.

    Args:
        gold: label of each row.
        groups: what rows share (``stats.shared``).
    """
    together = clusters(groups)
    held = [
        held_of(
            name,
            scale,
            gold,
            [verdict.label for verdict in verdicts],
            np.array(
                [[(v.probabilities or {})[label] for label in scale.labels] for v in verdicts]
            ),
            together,
        )
        for name, verdicts in (("before", before), ("after", after))
    ]
    was, now = (
        np.array([v.label == label for v, label in zip(verdicts, gold, strict=True)], float)
        for verdicts in (before, after)
    )
    one, whole = np.zeros(len(gold), np.int64), np.ones(1)
    more, p = difference(Means(now, one, whole), Means(was, one, whole), together)
    gained, lost = int((now > was).sum()), int((now < was).sum())
    return Tuned(held[0], held[1], gained, lost, more, p)
