"""How well verdicts agree with gold labels: figures, their intervals, and trivial baselines.

Pure functions on columns, independent of files, engines and pages. Intervals are those of ``intervals``. A failed row (an
error, no label) counts as wrong wherever right and wrong are counted. Figures that need the judge's label or probability state
the number of rows they use (``n``); no row is dropped silently.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mene.scale import Scale
from mene.stats import correlation, intervals
from mene.stats.clusters import clusters
from mene.stats.columns import (
    Floats,
    Ints,
    Probabilities,
    gold_codes,
    label_codes,
    probability_rows,
)
from mene.stats.intervals import Figure

BINS = 10  # of the reliability diagram, equally wide


@dataclass(frozen=True, slots=True)
class Baseline:
    """The accuracy of a trivial strategy that does not read the rows.

    Attributes:
        key: ``majority`` (the most common gold label), ``first`` (always A) or ``longer`` (the
            longer response; rows of equal length count half).
        name: the same in words.
        accuracy: 0 to 1, on the same rows.
        over: the judge's accuracy minus this one, paired row by row; -1 to 1.
    """

    key: Literal["majority", "first", "longer"]
    name: str
    accuracy: float
    over: Figure

    @property
    def beaten(self) -> bool:
        """Whether the whole interval of the difference is above 0."""
        return self.over.low is not None and self.over.low > 0


@dataclass(frozen=True, slots=True)
class Bin:
    """Rows with confidence from ``low`` to ``high``; the means are None where it is empty."""

    low: float
    high: float
    count: int
    confidence: float | None
    accuracy: float | None


@dataclass(frozen=True, slots=True)
class Agreement:
    """Verdicts compared with gold labels.

    Attributes:
        labels: of the scale, in order.
        n: rows with a gold label on the scale; the base of accuracy.
        failed: how many of them have no label from the judge; they count as wrong.
        off_scale: further rows whose gold label is not on the scale: not scored.
        rounded: rows whose gold number lies between two labels (a mean of several people); right
            and wrong go by the nearest label (the lower of two), correlations by the number.
        documents: number of clusters (rows of one document, copies of one text) that the intervals use; None if all rows are
            independent.
        accuracy: share of rows with the gold label, 0 to 1.
        balanced_accuracy: mean over gold labels of the share found, 0 to 1 (Brodersen et al. 2010).
        chance: 1 / number of gold labels that occur: what balanced accuracy is by chance.
        kappa: Cohen's kappa, -1 to 1 (Cohen 1960); a failure is a label of its own.
        weighted_kappa: ordinal scales; quadratic weights (Cohen 1968), on rows with a label.
        pearson, spearman: ordinal scales; correlation of the expected score with the gold number,
            -1 to 1, on rows with a label (the label's number where there are no probabilities).
        ece: expected calibration error, 0 to 1 (Naeini et al. 2015; Guo et al. 2017, eq. 3), ten bins of equal width, on rows
            with probabilities. Without an interval: it is biased upwards on few rows, and no known interval keeps its coverage.
        brier: mean squared distance of the probabilities from the truth, summed over the labels,
            0 to 2 (Brier 1950), on rows with probabilities.
        baselines: majority; for pairs also first and, if lengths are known, longer.
        confusion: counts, one row per gold label; columns are the labels and then ``failed``.
        bins: of the reliability diagram; empty without probabilities.
    """

    labels: tuple[str, ...]
    n: int
    failed: int
    off_scale: int
    rounded: int
    documents: int | None
    accuracy: Figure
    balanced_accuracy: Figure
    chance: float | None
    kappa: Figure
    weighted_kappa: Figure | None
    pearson: Figure | None
    spearman: Figure | None
    ece: Figure
    brier: Figure
    baselines: tuple[Baseline, ...]
    confusion: tuple[tuple[int, ...], ...]
    bins: tuple[Bin, ...]

    @property
    def beats_majority(self) -> bool:
        """Whether accuracy is significantly above the share of the most common gold label."""
        return any(b.beaten for b in self.baselines if b.key == "majority")

    @property
    def no_better_than_chance(self) -> bool:
        """Whether neither accuracy (against the majority) nor balanced accuracy (against 1/k) is significant.

        A judge of rare labels may lose to the majority and still tell the labels apart, so one of the two suffices. Also True
        where
        there are too few rows to tell.
        """
        low = self.balanced_accuracy.low
        apart = low is not None and self.chance is not None and low > self.chance
        return not (self.beats_majority or apart)


def agreement(
    gold: Sequence[str | float | bool | None],
    labels: Sequence[str | None],
    scale: Scale,
    *,
    probabilities: Probabilities | None = None,
    groups: Sequence[Hashable] | None = None,
    lengths: Sequence[tuple[float, float]] | None = None,
) -> Agreement:
    """Compare verdicts with gold labels.

    Args:
        gold: one per row, labels of the scale; on an ordinal scale also numbers in between.
        labels: the judge's, None where it failed.
        scale: of both.
        probabilities: per row label -> probability, or None; or an array (rows, labels), with NaN for none.
        groups: the cluster of each row (a document, a repeated text); rows of one cluster are not independent.
        lengths: of both responses of each pair, for the ``longer`` baseline.

    Raises:
        ValueError: the columns differ in length.
    """
    columns = [labels, probabilities, groups, lengths]
    if any(column is not None and len(column) != len(gold) for column in columns):
        raise ValueError(f"all columns must have as many rows as gold ({len(gold)})")
    k = len(scale.labels)
    numbers = np.array(scale.values)
    codes, truth = gold_codes(gold, scale)
    rows = np.flatnonzero(codes >= 0)
    g, truth = codes[rows], truth[rows]
    given = label_codes(labels, scale)[rows]
    given[given < 0] = k  # a failure is one more answer, always wrong
    p = probability_rows(probabilities, scale, len(gold))[rows]
    p[given == k] = np.nan
    known = np.flatnonzero(~np.isnan(p[:, 0]))
    judged = np.flatnonzero(given < k)
    right = (g == given).astype(np.float64)
    group = None if groups is None else clusters(groups[i] for i in rows.tolist())

    def of(at: Ints) -> Ints | None:
        return None if group is None else group[at]

    present, places = np.unique(g, return_inverse=True)
    even = np.full(len(present), 1 / max(1, len(present)))
    sure = np.clip(p[known, given[known]], 0, 1)
    boxes = np.minimum((sure * BINS).astype(np.int64), BINS - 1)
    loss = ((p[known] - np.eye(k)[g[known]]) ** 2).sum(axis=1)
    error = calibration_error(boxes, sure, right[known])
    table = np.bincount(g * (k + 1) + given, minlength=k * (k + 1)).reshape(k, k + 1)
    trivial = _trivial(g, scale, None if lengths is None else [lengths[i] for i in rows.tolist()])
    weighted = pearson = spearman = None
    if scale.kind == "ordinal":
        score = numbers[np.minimum(given, k - 1)]
        score[known] = np.round(p[known] @ numbers, 9)  # so that equal scores tie on every machine
        columns = score[judged], truth[judged]
        weighted = intervals.kappa(g[judged], given[judged], k, of(judged), quadratic=True)
        pearson = correlation.coefficient(correlation.pearson(*columns), of(judged))
        spearman = correlation.coefficient(correlation.spearman(*columns), of(judged), ranks=True)
    return Agreement(
        labels=scale.labels,
        n=len(rows),
        failed=int((given == k).sum()),
        off_scale=len(gold) - len(rows),
        rounded=int((truth != numbers[g]).sum()) if scale.kind == "ordinal" else 0,
        documents=None if group is None else len(set(group.tolist())),
        accuracy=intervals.mean(right, group),
        balanced_accuracy=intervals.strata(right, places, even, group),
        chance=1 / len(present) if len(present) else None,
        kappa=intervals.kappa(g, given, k + 1, group),
        weighted_kappa=weighted,
        pearson=pearson,
        spearman=spearman,
        ece=Figure(error, None, None, len(known)),
        brier=intervals.mean(loss, of(known), high=2.0),
        baselines=tuple(
            Baseline(
                key, name, float(credit.mean()), intervals.mean(right - credit, group, low=-1.0)
            )
            for key, (name, credit) in trivial.items()
        ),
        confusion=tuple(tuple(int(c) for c in line) for line in table),
        bins=bins_of(boxes, sure, right[known]) if known.size else (),
    )


def calibration_error(boxes: Ints, sure: Floats, right: Floats) -> float | None:
    """Return the sum over bins of |share right - mean confidence|, weighted by rows; None without rows.

    Args:
        boxes: bin of each row, from 0.
        sure: confidence of each row, 0 to 1.
        right: 1 where the row is right, else 0.
    """
    if not len(boxes):
        return None
    return float(np.abs(np.bincount(boxes, weights=right - sure)).sum() / len(boxes))


def _trivial(
    g: Ints, scale: Scale, lengths: list[tuple[float, float]] | None
) -> dict[Literal["majority", "first", "longer"], tuple[str, Floats]]:
    """Return each baseline's name, and whether it is right (0 to 1) on every row."""
    if not g.size:
        return {}
    most = int(np.bincount(g).argmax())
    found: dict[Literal["majority", "first", "longer"], tuple[str, Floats]] = {
        "majority": (f"always “{scale.labels[most]}”", (g == most).astype(np.float64))
    }
    if scale.kind == "pairwise":
        found["first"] = ("always the first response", (g == 0).astype(np.float64))
        if lengths is not None:
            a, b = np.array(lengths, np.float64).T
            credit = np.where(a > b, g == 0, np.where(b > a, g == 1, 0.5 * (g < 2)))
            found["longer"] = ("always the longer response", credit.astype(np.float64))
    return found


def bins_of(boxes: Ints, sure: Floats, right: Floats) -> tuple[Bin, ...]:
    """Return the reliability diagram: ``BINS`` bins of confidence, each with its share right."""
    found = []
    for box in range(BINS):
        at = boxes == box
        count = int(at.sum())
        confidence, share = (float(v[at].mean()) if count else None for v in (sure, right))
        found.append(Bin(box / BINS, (box + 1) / BINS, count, confidence, share))
    return tuple(found)
