"""Finding the threshold that meets a user's requirement, and measuring it on the user's own labels.

``stats/promised.py`` explains how thresholds are chosen and what is guaranteed. Of rows that share a context or a text, one
random row counts, since a guarantee needs independent rows.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mene.bench.align.align import LEAST_ROWS, align, applied, folds, learn
from mene.bench.align.wanted import Wanted
from mene.criterion import Criterion
from mene.judge.calibration import Alone, Calibration, Threshold
from mene.stats.clusters import clusters
from mene.stats.columns import Floats, Ints
from mene.stats.intervals import Figure, mean, ratio
from mene.stats.promised import Cut, Start, finding, furthest, least_rows, start_of
from mene.verdict import Compare

TAUGHT = 0.4  # share of the groups that a calibration is learned from; the rest tests it


@dataclass(frozen=True, slots=True)
class Reached:
    """The outcome for a requirement.

    Attributes:
        calibration: with its ``threshold`` or ``alone``; None where nothing can be guaranteed.
        rows: number of independent rows for the test; ``taught`` further ones were used to learn the calibration.
        cut: the threshold on them; None as above.
        start: the first test's result; None for a recall, which needs no test.
        figures: on other rows than it was chosen on: ``precision`` and ``recall``; for ``alone``, the share ``decided`` of the
            test rows.
        missing: number of folds for which no threshold could be chosen.
    """

    calibration: Calibration | None
    rows: int
    taught: int
    cut: Cut | None
    start: Start | None
    figures: dict[str, Figure]
    missing: int = 0


def reach(
    wanted: Wanted,
    criterion: Criterion,
    mode: str,
    gold: Sequence[Any],
    probabilities: Sequence[dict[str, float]],
    groups: Sequence[Hashable],
    chosen: Calibration | None,
    *,
    template: str | None = None,
    compare: Compare = "together",
    seed: int = 0,
) -> Reached:
    """Find the threshold that meets a requirement.

    Args:
        gold, probabilities, groups, template: as for ``align``.
        chosen: the calibration that ``align`` chose on all of these rows.
        compare: how pairs were judged.
    """
    labels = criterion.scale.labels
    codes: Ints = np.array([labels.index(g) for g in gold], np.int64)
    table = np.array([[p[label] for label in labels] for p in probabilities])
    # Rows with one text are already a group. Equal probabilities do not count here: servers round them.
    together = clusters(groups)
    asked = _Asked(wanted, criterion, mode, template, seed, compare)
    if wanted.error is not None:
        return _alone(asked, codes, table, together)
    return _threshold(asked, codes, table, together, chosen)


@dataclass(frozen=True, slots=True)
class _Asked:
    wanted: Wanted
    criterion: Criterion
    mode: str
    template: str | None
    seed: int
    compare: Compare

    @property
    def column(self) -> int:
        return self.criterion.scale.labels.index(self.wanted.label or "")

    def as_it_is(self) -> Calibration:
        """Return a calibration without effect, to hold a threshold."""
        c = self.criterion
        return Calibration(
            criterion=c.name,
            question=c.question,
            labels=c.scale.labels,
            mode=self.mode,  # type: ignore[arg-type]
            template=self.template,
            method="none",
        )

    def calibrated(self, calibration: Calibration | None, table: Floats) -> Floats:
        return table if calibration is None else applied(calibration, table)


def _alone(asked: _Asked, codes: Ints, table: Floats, together: Ints) -> Reached:
    """Find the threshold for ``alone``. Labels are used to learn a calibration or to test it, never both: on the labels that it
    was fitted to, a judge would look too good. With too few rows for both, the uncalibrated judge is tested.
    """
    wanted, criterion, labels = asked.wanted, asked.criterion, asked.criterion.scale.labels
    risk, confidence = wanted.risk, wanted.confidence
    names = np.random.default_rng(asked.seed).permutation(int(together.max()) + 1)
    few = round(TAUGHT * len(names))
    teach = np.flatnonzero(np.isin(together, names[:few]))
    calibration = None
    if len(names) - few < 2 * least_rows(risk, confidence) or few < LEAST_ROWS:
        few = 0
    else:
        calibration = align(
            criterion,
            asked.mode,
            [labels[i] for i in codes[teach]],
            [dict(zip(labels, map(float, row), strict=True)) for row in table[teach]],
            together[teach].tolist(),
            template=asked.template,
            seed=asked.seed,
        ).chosen
    prove = _one_of_each(together, np.isin(together, names[few:]), asked.seed)
    p = asked.calibrated(calibration, table[prove])
    sure, wrong = p.max(axis=1), (p.argmax(axis=1) != codes[prove]).astype(np.int64)
    cut = furthest(sure, wrong, risk, confidence, np.zeros(len(sure)), asked.seed)
    start = start_of(sure, wrong, risk, confidence, np.zeros(len(sure)), asked.seed)
    if cut is None:
        return Reached(None, len(prove), few, None, start, {})
    alone = Alone(
        at=min(cut.at, 1.0),
        error=risk,
        confidence=confidence,
        rows=cut.rows,
        decided=cut.taken,
        wrong=cut.wrong,
        compare=asked.compare,
    )
    whole = (calibration or asked.as_it_is()).model_copy(update={"alone": alone})
    figures = {"decided": mean(sure >= cut.at)}
    return Reached(whole, len(prove), few, cut, start, figures)


def _threshold(
    asked: _Asked, codes: Ints, table: Floats, together: Ints, chosen: Calibration | None
) -> Reached:
    """Find a threshold on all rows. Its figures are cross-validated: each fold with threshold and calibration from the others.

    With two labels, no calibration changes the order of the rows, so the guarantee of ``promised`` holds although the same rows
    were used to learn it. With more labels it holds approximately, as the held-out figures show.
    """
    wanted = asked.wanted
    cut = _cut(asked, codes, table, together, chosen)
    if wanted.recall is not None:
        start, rows = None, len(_positives(asked, codes, together))
    else:
        score, wrong, raw = _scored(asked, codes, table, together, chosen)
        start, rows = (
            start_of(score, wrong, wanted.risk, wanted.confidence, raw, asked.seed),
            len(score),
        )
    if cut is None:
        return Reached(None, rows, 0, None, start, {})
    given, missing = np.zeros(len(codes)), 0
    for train, test in folds(together, codes, asked.seed):
        again = None
        if chosen is not None:
            again = learn(chosen.method, asked.criterion, asked.mode, table[train], codes[train])
        inner = _cut(asked, codes[train], table[train], together[train], again)
        missing += inner is None
        if inner is not None:
            given[test] = asked.calibrated(again, table[test])[:, asked.column] >= inner.at
    positive = (codes == asked.column).astype(np.float64)
    figures = {
        "precision": ratio(given * positive, given, together),
        "recall": ratio(given * positive, positive, together),
    }
    threshold = Threshold(
        label=wanted.label or "",
        at=min(cut.at, 1.0),
        precision=wanted.precision,
        recall=wanted.recall,
        confidence=wanted.confidence,
        rows=rows,
        held_out={name: (f.value, f.low, f.high) for name, f in figures.items()},
    )
    whole = (chosen or asked.as_it_is()).model_copy(update={"threshold": threshold})
    return Reached(whole, rows, 0, cut, start, figures, missing)


def _cut(
    asked: _Asked, codes: Ints, table: Floats, together: Ints, calibration: Calibration | None
) -> Cut | None:
    wanted, column = asked.wanted, asked.column
    if wanted.recall is not None:
        own = _positives(asked, codes, together)
        p = asked.calibrated(calibration, table[own])
        return finding(p[:, column], wanted.recall, wanted.confidence)
    score, wrong, raw = _scored(asked, codes, table, together, calibration)
    return furthest(score, wrong, wanted.risk, wanted.confidence, raw, asked.seed)


def _scored(
    asked: _Asked, codes: Ints, table: Floats, together: Ints, calibration: Calibration | None
) -> tuple[Floats, Ints, Floats]:
    """Return for independent rows the label's probability, whether the row has another label, and a tie-breaker: where a
    calibration maps different probabilities to the same value, the judge's original order is kept."""
    own = _one_of_each(together, np.ones(len(codes), bool), asked.seed)
    p = asked.calibrated(calibration, table[own])[:, asked.column]
    return p, (codes[own] != asked.column).astype(np.int64), table[own][:, asked.column]


def _positives(asked: _Asked, codes: Ints, together: Ints) -> Ints:
    return _one_of_each(together, codes == asked.column, asked.seed)


def _one_of_each(together: Ints, among: np.ndarray, seed: int) -> Ints:
    """Return one random row of each group."""
    rows = np.random.default_rng(seed).permutation(np.flatnonzero(among))
    return np.sort(rows[np.unique(together[rows], return_index=True)[1]])
