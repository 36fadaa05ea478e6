"""Guarantees for unlabelled rows from labelled ones: how often labels above a threshold are wrong, and how many of the rows
of a label are found.

**The guarantee of ``furthest``.** Assume that all rows, later ones included, are drawn independently from one source (or are
exchangeable), and that the scoring was fixed without their labels. Then, with probability ``confidence`` over the labelled
rows,
at most the share ``risk`` of all rows with ``score >= at`` is wrong. Scores need not be calibrated. The guarantee is about all
rows at or above the threshold together, not about each one, and does not cover a source that changes.

This is Learn then Test (Angelopoulos, Bates, Candès, Jordan and Lei 2021, arXiv 2110.01052, theorem 1: what a test that
controls the family-wise error rate rejects, controls the risk) with fixed-sequence testing. Rows are sorted by score. Starting
at a rank that depends only on the number of rows, each rank in turn is tested at the full level: are the rows before it wrong
more often than ``risk``? The sequence ends at the first failure. The p-value of the binomial distribution is exact: given the
score of the next row, the first k rows are independent draws from all rows with a higher score (the tail bound of Geifman and
El-Yaniv 2017, arXiv 1705.08500, lemma 3.1, whose binary search spends the level on several tests). Thresholds at ranks depend
on the sample where the paper's are fixed, and the level still holds: to accept a threshold with too high a risk, the sequence
must pass the rank where the risk crosses ``risk`` (or its first rank, if it is too high there already). The rows before that
rank, given their number, are wrong with a probability of ``risk`` or more, so their test is passed with probability at most
1 - ``confidence``. Rows with equal scores are shuffled, and a threshold between them is not used.

**The guarantee of ``finding``**: with the same probability, at least the share ``recall`` of all rows of a label has a score
of ``at`` or more: the distribution-free tolerance limit of Wilks (1941, doi 10.1214/aoms/1177731788).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from mene.stats.columns import Floats, Ints

FIRST = (
    2,
    1,
)  # wrong rows that the first test allows: the first value for which a third of the rows suffices, else none


@dataclass(frozen=True, slots=True)
class Cut:
    """A threshold on scores.

    Attributes:
        at: rows with this score or a higher one are taken.
        taken: number of labelled rows that are taken; ``wrong``: those of them that are wrong.
        rows: number of labelled rows.
    """

    at: float
    taken: int
    wrong: int
    rows: int


def least_rows(risk: float, confidence: float) -> int:
    """Return the fewest rows with which anything can be guaranteed, if none is wrong: (1 - risk)^rows <= 1 - confidence.

    Args:
        risk, confidence: above 0 and under 1.
    """
    return max(1, math.ceil(math.log1p(-confidence) / math.log1p(-risk) - 1e-9))


def least_risk(rows: int, confidence: float) -> float:
    """Return the smallest risk that this number of rows can guarantee, the inverse of ``least_rows``."""
    return 1 - (1 - confidence) ** (1 / rows) if rows else 1.0


def first_rank(rows: int, risk: float, confidence: float) -> int:
    """Return the rank where the sequence of tests begins, which must not depend on the labels.

    It is the first rank that passes with no wrong row or, where there are enough rows, with one or two, so that a single wrong
    row among the surest does not fail everything.
    """
    ranks = np.arange(1, rows // 3 + 1)
    for wrong in FIRST:
        passing = np.flatnonzero(special.bdtr(wrong, ranks, risk) <= 1 - confidence)
        if passing.size:
            return int(ranks[passing[0]])
    return least_rows(risk, confidence)


@dataclass(frozen=True, slots=True)
class Start:
    """The first test of the sequence.

    Attributes:
        rows: number of the surest rows that it tests; more than exist where there are too few for any test.
        wrong: number of those that are wrong; ``allowed``: maximum number.
    """

    rows: int
    wrong: int
    allowed: int

    @property
    def passed(self) -> bool:
        """Whether the first test passes. If there is still no threshold, all later rows have the same score as these."""
        return self.wrong <= self.allowed


def start_of(
    scores: Floats, wrong: Ints, risk: float, confidence: float, then: Floats, seed: int = 0
) -> Start:
    """Return the first test of ``furthest``, for the same rows in the same order."""
    rank = first_rank(len(scores), risk, confidence)
    found = int(wrong[_order(scores, then, seed)][:rank].sum())
    if rank > len(scores):
        return Start(rank, found, 0)
    passing = special.bdtr(np.arange(len(FIRST) + 1), rank, risk) <= 1 - confidence
    return Start(rank, found, max(0, int(passing.sum()) - 1))


def _order(scores: Floats, then: Floats, seed: int) -> Ints:
    lot = np.random.default_rng(seed).random(len(scores))
    return np.lexsort((lot, -then, -scores))


def furthest(
    scores: Floats, wrong: Ints, risk: float, confidence: float, then: Floats, seed: int = 0
) -> Cut | None:
    """Return the lowest threshold at or above which at most ``risk`` of all rows are wrong; see the guarantee at the top.

    Args:
        scores: one per independent row.
        wrong: 1 where the row is wrong, else 0.
        risk, confidence: above 0 and under 1.
        then: order of rows with equal scores (higher first); remaining ties are random.

    Returns:
        None where these rows allow no guarantee.
    """
    rows = len(scores)
    start = first_rank(rows, risk, confidence)
    if rows < start:
        return None
    order = _order(scores, then, seed)
    score, errors = scores[order], np.cumsum(wrong[order])
    ranks = np.arange(start, rows + 1)
    failed = special.bdtr(errors[start - 1 :], ranks, risk) > 1 - confidence
    last = start - 1 + (int(failed.argmax()) if failed.any() else len(ranks))
    # Not between rows of equal score.
    while start <= last < rows and score[last - 1] == score[last]:
        last -= 1
    if last < start:
        return None
    # The guarantee covers scores above the next row's.
    at = 0.0 if last == rows else float(np.nextafter(score[last], np.inf))
    return Cut(at, last, int(errors[last - 1]), rows)


def finding(scores: Floats, recall: float, confidence: float) -> Cut | None:
    """Return the highest threshold at or above which at least ``recall`` of all rows of a label have their score.

    Args:
        scores: of independent rows of that label.
        recall, confidence: above 0 and under 1.

    Returns:
        None where there are too few rows of the label.
    """
    rows = len(scores)
    missed = np.arange(rows)  # rows below the threshold
    fine = np.flatnonzero(special.bdtr(missed, rows, 1 - recall) <= 1 - confidence)
    if not fine.size:
        return None
    at = float(np.sort(scores)[missed[fine[-1]]])
    return Cut(at, int((scores >= at).sum()), 0, rows)
