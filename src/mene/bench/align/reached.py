"""What of a wish can be had: the threshold for it, chosen and measured on the user's own labels.

How a threshold is chosen, and what is promised, is in ``stats/promised.py``. Rows that share a context or a text count once
there, one of them drawn by lot: a promise needs independent rows.
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

TAUGHT = 0.4  # share of the groups that a calibration is learned from, where the others prove what it does


@dataclass(frozen=True, slots=True)
class Reached:
    """What of a wish can be had.

    Attributes:
        calibration: with its ``threshold`` or ``alone``; None where nothing can be promised.
        rows: independent rows that were to prove it, ``taught`` further ones taught the calibration alone.
        cut: the threshold on them; None as above.
        start: what the first test found; None for a recall, which needs none.
        figures: on rows it was not chosen on: ``precision`` and ``recall``; of ``alone``, the share ``decided`` of the rows
            that prove it.
        missing: of how many folds of the rows no threshold could be chosen.
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
    """Find the threshold for what is wanted.

    Args:
        gold, probabilities, groups, template: as of ``align``.
        chosen: the calibration that ``align`` chose on all of these rows.
        compare: how pairs were judged.
    """
    labels = criterion.scale.labels
    codes: Ints = np.array([labels.index(g) for g in gold], np.int64)
    table = np.array([[p[label] for label in labels] for p in probabilities])
    # Rows of one text are one group already. Equal probabilities say nothing here: servers round them.
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
        """A calibration that changes nothing, to keep a threshold in."""
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
    """Labels teach a calibration or prove what it does, never both: of a judge that was fitted to them they would promise
    too much. With too few rows for both the judge is proved as it is.
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
    """Chosen on all rows. What it reaches is measured on each fold of them with a threshold, and a calibration, from the others.

    Of two labels no calibration changes the order of the rows, so that what ``promised`` says holds although the same rows
    taught it. Of more labels it is nearly so; the held-out figures show it.
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
    """Of independent rows the probability of the label, whether they have another one, and what decides between equal
    probabilities: a calibration's curve may make equal what was not, and the judge's own order stays."""
    own = _one_of_each(together, np.ones(len(codes), bool), asked.seed)
    p = asked.calibrated(calibration, table[own])[:, asked.column]
    return p, (codes[own] != asked.column).astype(np.int64), table[own][:, asked.column]


def _positives(asked: _Asked, codes: Ints, together: Ints) -> Ints:
    return _one_of_each(together, codes == asked.column, asked.seed)


def _one_of_each(together: Ints, among: np.ndarray, seed: int) -> Ints:
    """One row of each group, by lot."""
    rows = np.random.default_rng(seed).permutation(np.flatnonzero(among))
    return np.sort(rows[np.unique(together[rows], return_index=True)[1]])
