"""What labelled rows can promise of rows that nobody has labelled: how often labels from a threshold on are wrong, how
many of the rows of a label are found.

**The promise of ``furthest``.** Rows are drawn independently from one source (or are exchangeable), the later ones
too, and how they are scored was settled without their labels. Then, with probability ``confidence`` over the labelled
rows, at most the share ``risk`` of all rows with ``score >= at`` is wrong; nothing is assumed of the scores, calibrated or
not. It is a promise about the rows at or above the threshold together, not about each, and not about a source that changes.

This is Learn then Test (Angelopoulos, Bates, Candès, Jordan and Lei 2021, arXiv 2110.01052, theorem 1: whatever a test that
controls the family-wise error rate rejects keeps the risk) with tests in a fixed sequence: the rows are
put in order of their scores, and from a rank that depends on the number of rows alone, on through all ranks, it is tested
whether the rows before that rank are wrong more often than ``risk``, each time at the full level, until a test fails. The
p-value is that of the binomial distribution, which is exact: given the score of the row behind them, the first k rows are
independent draws from all rows with a higher score (the tail bound of Geifman and El-Yaniv 2017, arXiv 1705.08500, lemma 3.1,
whose search by halves spends the level on several tests). Thresholds at ranks depend on the sample where the paper's are fixed,
and the level still holds: to accept a threshold at which the risk is too high, the sequence has to pass the rank at which the
risk crosses ``risk`` (or its first rank, where it is too high there already); the rows before that rank, their number given,
are wrong with a probability of exactly ``risk`` (or more), and their test is passed with probability 1 - ``confidence`` at most.
Rows with one score are put in a random order, and a threshold between them is not used.

**The promise of ``finding``**: with the same probability at least the share ``recall`` of all rows of a label has a score
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
)  # wrong rows that the first test allows: the first of these that a third of the rows is enough for, else none


@dataclass(frozen=True, slots=True)
class Cut:
    """A threshold on scores.

    Attributes:
        at: rows with this score or a higher one are taken.
        taken: how many of the labelled rows are, and ``wrong`` how many of those are not what they should be.
        rows: labelled rows.
    """

    at: float
    taken: int
    wrong: int
    rows: int


def least_rows(risk: float, confidence: float) -> int:
    """Labelled rows below which nothing can be promised, even if not one of them is wrong: (1 - risk)^rows <= 1 - confidence.

    Args:
        risk, confidence: above 0 and under 1.
    """
    return max(1, math.ceil(math.log1p(-confidence) / math.log1p(-risk) - 1e-9))


def least_risk(rows: int, confidence: float) -> float:
    """The smallest risk that so many rows can promise: ``least_rows`` the other way round."""
    return 1 - (1 - confidence) ** (1 / rows) if rows else 1.0


def first_rank(rows: int, risk: float, confidence: float) -> int:
    """Where the sequence of tests begins; the labels have no part in it.

    At the first rank that passes with no wrong row, or, where there are rows enough, with one or two: one unlucky row among
    the surest then costs nothing.
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
        rows: the surest ones, that it is about; more than there are where these are too few for any test.
        wrong: how many of them are wrong, and ``allowed`` how many may be.
    """

    rows: int
    wrong: int
    allowed: int

    @property
    def passed(self) -> bool:
        """If so and there is no threshold all the same, all rows behind have the score of these."""
        return self.wrong <= self.allowed


def start_of(
    scores: Floats, wrong: Ints, risk: float, confidence: float, then: Floats, seed: int = 0
) -> Start:
    """What the first test of ``furthest`` finds, of the same rows in the same order."""
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
    """The lowest threshold at or above which at most ``risk`` of all rows are wrong; the promise is at the head of this file.

    Args:
        scores: one per independent row.
        wrong: 1 where the row is wrong, else 0.
        risk, confidence: above 0 and under 1.
        then: the order of rows that have the same score (higher first); a lot decides what is left.

    Returns:
        None where nothing can be promised with these rows.
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
    while start <= last < rows and score[last - 1] == score[last]:  # between rows of one score
        last -= 1
    if last < start:
        return None
    # What is promised is of scores above that of the row behind.
    at = 0.0 if last == rows else float(np.nextafter(score[last], np.inf))
    return Cut(at, last, int(errors[last - 1]), rows)


def finding(scores: Floats, recall: float, confidence: float) -> Cut | None:
    """The highest threshold at or above which at least ``recall`` of all rows of a label have their score.

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
