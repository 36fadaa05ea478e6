"""What a user wants of an aligned judge beyond probabilities: a threshold that reaches a precision or recall, or the rows
that it may decide without a person.

How a threshold is chosen, and what is promised, is in ``promised``. Rows that share a context or a text count once there, one
of them drawn by lot: a promise needs independent rows.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mene.bench.align.align import LEAST_ROWS, align, applied, folds, learn
from mene.criterion import Criterion
from mene.errors import UsageError, nearest
from mene.judge.calibration import Alone, Calibration, Threshold
from mene.stats.clusters import clusters
from mene.stats.columns import Floats, Ints
from mene.stats.intervals import Figure, mean, ratio
from mene.stats.promised import Cut, Start, finding, furthest, least_risk, least_rows, start_of
from mene.verdict import Compare

CONFIDENCE = 0.9
TAUGHT = 0.4  # share of the groups that a calibration is learned from, where the others prove what it does


@dataclass(frozen=True, slots=True)
class Wanted:
    """One of three wishes; the others are None.

    Attributes:
        precision, recall: of ``label``, above 0 and under 1.
        error: of the labels given without a person at most this share is wrong.
        confidence: that it is reached.
    """

    confidence: float = CONFIDENCE
    precision: float | None = None
    recall: float | None = None
    label: str | None = None
    error: float | None = None

    @property
    def risk(self) -> float:
        """The share that may go wrong: of rows decided alone, of rows with the label, of the label's rows."""
        if self.error is not None:
            return self.error
        return round(1 - (self.precision or self.recall or 0), 12)

    def __str__(self) -> str:
        if self.error is not None:
            return f"an error of {self.error:g} at most"
        what = "precision" if self.precision is not None else "recall"
        return f"a {what} of {self.precision or self.recall:g} for {self.label}"


def wanted_of(
    criterion: Criterion,
    *,
    precision: float | None = None,
    recall: float | None = None,
    label: str | None = None,
    error: float | None = None,
    confidence: float | None = None,
) -> Wanted | None:
    """What the options of ``mene align`` ask for; None: none of it.

    Raises:
        UsageError: a share that nothing can reach, a label that is not on the scale, or two wishes at once.
    """
    given = {"--precision": precision, "--recall": recall, "--error": error}
    given = {name: value for name, value in given.items() if value is not None}
    if not given:
        for name, value in (("--for", label), ("--confidence", confidence)):
            if value is not None:
                raise UsageError(f"{name}: nothing is wanted; add --precision, --recall or --error")
        return None
    if len(given) > 1:
        raise UsageError(
            f"{' and '.join(given)}: each changes which rows get a label; give one of them"
        )
    if confidence is None:
        confidence = CONFIDENCE
    for name, value in (*given.items(), ("--confidence", confidence)):
        if not 0 < value < 1:
            why = ""
            if name == "--error" and value == 0:
                why = ": no number of labels can prove that a judge is never wrong"
            elif value == 1:
                why = ": no number of labels can prove that nothing ever goes wrong"
            raise UsageError(
                f"{name} {value:g}{why}; give a share above 0 and under 1, like {0.05 if name == '--error' else 0.9}"
            )
    if error is not None:
        if label is not None:
            raise UsageError("--for is for --precision and --recall; --error is about all labels")
        return Wanted(confidence, error=error)
    return Wanted(confidence, precision, recall, _label(criterion, label))


def _label(criterion: Criterion, label: str | None) -> str:
    scale = criterion.scale
    if scale.kind == "pairwise" and (label is None or scale.match(label) != "tie"):
        raise UsageError(
            f"{criterion.name} compares two responses, and a threshold on one of their labels would favour a seat; --error works "
            "for pairs" + (", and --for tie" if "tie" in scale.labels else "")
        )
    if label is None:
        if scale.is_binary:
            return scale.labels[0]
        raise UsageError(
            f"which label of {scale} is it about? Say it with --for, like --for {scale.labels[-1]}"
        )
    found = scale.match(label)
    if found is None:
        raise UsageError(
            f"--for {label}: not on the scale {scale} of {criterion.name}{nearest(label, scale.labels)}"
        )
    return found


def check_rows(wanted: Wanted, gold: Sequence[str], groups: Sequence[Hashable], where: str) -> None:
    """Refuse labels that are too few whatever the judge says of them, before it is asked.

    Args:
        gold: labels, and ``groups`` what their rows share.
        where: the labels are from.

    Raises:
        UsageError: says how many are needed.
    """
    own = zip(gold, groups, strict=True)
    rows = len({group for g, group in own if wanted.recall is None or g == wanted.label})
    least = least_rows(wanted.risk, wanted.confidence)
    if rows >= least:
        return
    s = "s" * (rows != 1)
    what = f"row{s} labelled {wanted.label}" if wanted.recall is not None else f"labelled row{s}"
    risk = least_risk(rows, wanted.confidence)
    # Rounded to the side that can be promised.
    best = (
        np.ceil(1000 * risk) / 1000
        if wanted.error is not None
        else np.floor(1000 * (1 - risk)) / 1000
    )
    option = next(
        f"--{name} {best:g}" for name in ("error", "precision", "recall") if getattr(wanted, name)
    )
    rest = f", or {option}, which {rows} can promise at best" if 0 < best < 1 and rows else ""
    raise UsageError(
        f"{where}: {rows} independent {what} (those of one context or text count once); to promise {wanted} with a confidence of "
        f"{wanted.confidence:g} takes {least}, even of a judge that is never wrong; label {least - rows} more{rest}"
    )


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
