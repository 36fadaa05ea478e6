"""A judge compared with a user's own labels, and a calibration learned from them.

Every figure about a calibration is measured on rows that it was not learned from (cross-validation that never divides rows
with a common context or text).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mene.criterion import Criterion
from mene.errors import UsageError
from mene.judge.calibration import LEAST, Calibration, Method
from mene.scale import Scale
from mene.stats.agreement import Agreement, agreement
from mene.stats.clusters import clusters
from mene.stats.columns import Floats, Ints
from mene.stats.intervals import unbounded

METHODS: tuple[Method, ...] = ("temperature", "bias", "isotonic")
FOLDS = 5
LEAST_ROWS = 20  # fewer labels teach nothing that generalises
# With at most this many draws or jurors, vote shares are told apart from a model's own probabilities.
VOTES = 50


@dataclass(frozen=True, slots=True)
class Held:
    """One calibration method, measured on held-out rows.

    Attributes:
        name: ``as it is`` or the method.
        log_loss: mean -log p of the gold label; used to choose a method.
        agreement: of the held-out labels and probabilities.
    """

    name: str
    log_loss: float
    agreement: Agreement


@dataclass(frozen=True, slots=True)
class Alignment:
    """The result of aligning a judge.

    Attributes:
        before: the judge without calibration.
        held: every method on held-out rows.
        chosen: the method with the smallest held-out log loss, learned from all rows; None where the 95 % interval of its
            gain over no calibration reaches 0, or there are too few independent rows for one.
        more: number of further labels that would halve the accuracy's interval.
    """

    before: Held
    held: tuple[Held, ...]
    chosen: Calibration | None
    more: int


def align(
    criterion: Criterion,
    mode: str,
    gold: Sequence[Any],
    probabilities: Sequence[dict[str, float]],
    groups: Sequence[Hashable],
    *,
    template: str | None = None,
    among: Sequence[Method] = METHODS,
    seed: int = 0,
    resamples: int = 2000,
) -> Alignment:
    """Measure and calibrate a judge.

    Args:
        gold: one label of the scale per row.
        probabilities: the judge's, per row.
        groups: what rows share (a context, a text: see ``stats.shared``); never divided between learning and measuring.
            Single rows with identical probabilities count as copies of one text too (unless these are vote shares).
        template: of the judge, to which the calibration is then limited.
        seed, resamples: of the bootstrap of a calibration's gain.
        among: methods to choose from. For pairs, only a temperature is learned: a bias for one position would undo what
            judging in both orders achieves.

    Raises:
        UsageError: all rows belong to one group, so that none can be held out.
    """
    scale = criterion.scale
    place = {label: i for i, label in enumerate(scale.labels)}
    codes: Ints = np.array([place[g] for g in gold], np.int64)
    table = np.array([[p[label] for label in scale.labels] for p in probabilities])
    together = joined(clusters(groups), table)
    if together.max(initial=0) < 1:
        raise UsageError(
            "all rows have the same context or text, so none are left to test a calibration on; add "
            "rows with other contexts"
        )

    def measured(name: str, p: Floats) -> Held:
        labels = [scale.labels[i] for i in p.argmax(axis=1)]
        return held_of(name, scale, gold, labels, p, together)

    before = measured("as it is", table)
    parts = folds(together, codes, seed)
    held, tables = [], []
    ways: tuple[Method, ...] = tuple(
        m for m in among if m == "temperature" or scale.kind != "pairwise"
    )
    for method in ways:
        out = table.copy()
        for train, test in parts:
            learned = learn(method, criterion, mode, table[train], codes[train])
            out[test] = applied(learned, table[test])
        held.append(measured(method, out))
        tables.append(out)
    best = min(range(len(held)), key=lambda i: held[i].log_loss)
    gain = _log_losses(table, codes) - _log_losses(tables[best], codes)
    gained = unbounded(gain, together, resamples=resamples, seed=seed)
    chosen = None
    if gained.low is not None and gained.low > 0:
        chosen = learn(ways[best], criterion, mode, table, codes, template)
    # An interval's width decreases with the square root of the number of rows.
    return Alignment(before, tuple(held), chosen, 3 * len(gold))


def held_of(
    name: str,
    scale: Scale,
    gold: Sequence[Any],
    labels: Sequence[Any],
    p: Floats,
    groups: Ints,
) -> Held:
    """Return the figures of labels and probabilities (rows, labels of the scale) on rows with these gold labels."""
    codes: Ints = np.array([scale.labels.index(g) for g in gold], np.int64)
    found = agreement(gold, labels, scale, probabilities=p, groups=groups.tolist())
    return Held(name, float(_log_losses(p, codes).mean()), found)


def learn(
    method: Method,
    criterion: Criterion,
    mode: str,
    table: Floats,
    codes: Ints,
    template: str | None = None,
) -> Calibration:
    """Fit one method by maximum likelihood (isotonic: least squares).

    Label biases have a Gaussian prior around 0 of unit width, so that a label which people never gave becomes unlikely, not
    impossible.
    """
    labels = criterion.scale.labels
    given: dict[str, Any] = {
        "criterion": criterion.name,
        "question": criterion.question,
        "labels": labels,
        "mode": mode,
        "template": template,
        "method": method,
        "rows": len(codes),
    }
    if method == "isotonic":
        from sklearn.isotonic import IsotonicRegression  # takes a second to import

        curves = {}
        for i, label in enumerate(labels):
            fit = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip")
            fit.fit(table[:, i], (codes == i).astype(float))
            # Shrunk slightly towards the label's share, so that no step reaches exactly 0 or 1.
            share = float((codes == i).mean())
            n = len(codes)
            points = zip(fit.X_thresholds_, fit.y_thresholds_, strict=True)
            curves[label] = tuple(
                (float(x), (n * float(y) + 2 * share) / (n + 2)) for x, y in points
            )
        return Calibration(**given, curves=curves)
    from scipy import optimize

    logs = np.log(np.maximum(table, LEAST))
    free = len(labels) if method == "bias" else 0
    rows = np.arange(len(codes))

    def cost(x: Floats) -> float:
        scores = logs / np.exp(x[0]) + (x[1:] if free else 0.0)
        scores = scores - scores.max(axis=1, keepdims=True)
        loss = np.log(np.exp(scores).sum(axis=1)) - scores[rows, codes]
        return float(loss.sum() + 0.5 * (x**2).sum())

    fit = optimize.minimize(
        cost, np.zeros(1 + free), method="L-BFGS-B", bounds=[(-4, 4)] * (1 + free)
    )
    bias = {label: float(b) for label, b in zip(labels, fit.x[1:], strict=False)}
    return Calibration(**given, temperature=float(np.exp(fit.x[0])), bias=bias)


def applied(calibration: Calibration, table: Floats) -> Floats:
    """Return the calibrated probabilities of many rows (rows, labels)."""
    labels = calibration.labels
    rows = (calibration.apply(dict(zip(labels, map(float, row), strict=True))) for row in table)
    return np.array([[p[label] for label in labels] for p in rows])


def joined(groups: Ints, table: Floats) -> Ints:
    """Return the groups, with single rows of identical probabilities merged."""
    alone = np.bincount(groups)[groups] == 1
    names: list[Hashable] = []
    for group, one, row in zip(groups.tolist(), alone.tolist(), table, strict=True):
        votes = (
            np.abs((shares := np.outer(np.arange(1, VOTES + 1), row)) - shares.round()) < 1e-6
        ).all(-1)
        names.append(row.tobytes() if one and not votes.any() else group)
    return clusters(names)


def folds(groups: Ints, codes: Ints, seed: int) -> list[tuple[Ints, Ints]]:
    """Return cross-validation folds that keep groups together."""
    from sklearn.model_selection import GroupKFold

    count = min(FOLDS, int(groups.max()) + 1)
    split: Callable[..., Any] = GroupKFold(count, shuffle=True, random_state=seed).split
    return list(split(codes, groups=groups))


def _log_losses(p: Floats, codes: Ints) -> Floats:
    return -np.log(np.maximum(p[np.arange(len(codes)), codes], LEAST))
