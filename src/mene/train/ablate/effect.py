"""The effect of leaving something out: two runs' judgements on the same development rows, compared.

Differences are variant minus reference, paired row by row, with rows of one group clustered. The intervals are over rows; they
do
not include the variation between seeds of the training.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mene.curate.pair import Pair
from mene.errors import UsageError
from mene.stats import intervals
from mene.stats.clusters import clusters
from mene.stats.columns import Floats, Ints
from mene.stats.intervals import Figure
from mene.stats.paired import holm, mcnemar, sign_flips
from mene.train.ablate.variants import Variant, steps_of

CERTAIN = 0.05  # p after Holm's correction, below which a verdict is given without "may"
LEAST = 0.01  # nats of log loss; smaller effects do not matter, however narrow their interval
COLUMNS = (
    "variant",
    "accuracy, %",
    "change, points",
    "p",
    "change on other rows",
    "log loss",
    "change",
    "p",
    "verdict",
)


@dataclass(frozen=True, slots=True)
class Judged:
    """Judgements of the development rows, as ``development.jsonl`` has them; arrays of shape (rows,).

    Attributes:
        right: 1 where the likeliest label is the right one, else 0.
        loss: negative log-probability of the right label, in nats.
    """

    ids: tuple[str, ...]
    right: Floats
    loss: Floats


@dataclass(frozen=True, slots=True)
class Change:
    """A difference, variant minus reference.

    Attributes:
        difference: of accuracy (-1 to 1) or log loss (nats), with its interval.
        p: two-sided; McNemar's exact test for accuracy where rows are independent, else sign flips of whole groups; 1 where
            there are too few for an interval.
        p_holm: after Holm's correction over all changes of an ablation, both figures.
    """

    difference: Figure
    p: float
    p_holm: float = 1.0


@dataclass(frozen=True, slots=True)
class Effect:
    """A variant and its effect; the reference itself has no changes.

    Attributes:
        others, others_loss: the differences on the rows that do not belong to what was left out. None where that is all
            rows, or none.
        verdict: on what was left out: ``helps``, ``may help``, ``no difference seen``, ``may hurt``,
            ``hurts``, ``accuracy and log loss disagree``; empty for the reference.
    """

    variant: str
    without: str
    pairs: int
    steps: int
    accuracy: Figure
    log_loss: Figure
    accuracy_change: Change | None = None
    log_loss_change: Change | None = None
    others: Figure | None = None
    others_loss: Figure | None = None
    verdict: str = ""


def read_judged(path: Path) -> Judged:
    """Read a run's ``development.jsonl``.

    Raises:
        UsageError: it is missing or damaged.
    """
    try:
        rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        given = [np.array(row["probabilities"], np.float64) for row in rows]
        at = [row["labels"].index(row["label"]) for row in rows]
        ids = tuple(row["id"] for row in rows)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{path}: cannot be read ({error}); delete {path.parent} and run again"
        ) from None
    return Judged(
        ids,
        np.array([p.argmax() == i for p, i in zip(given, at, strict=True)], np.float64),
        np.array([-np.log(max(p[i], 1e-12)) for p, i in zip(given, at, strict=True)]),
    )


def effects(finished: Sequence[Variant], held: Sequence[Pair], output: Path) -> list[Effect]:
    """Compare finished variants with the first of them.

    Args:
        held: all of ``dev.jsonl``, for the groups of the rows.

    Raises:
        UsageError: two runs judged different rows.
    """
    by_id = {pair.id: pair for pair in held}
    # The two responses of a pointwise pair are judged as one, under the pair's name.
    by_id |= {pair.compared: pair for pair in held if pair.compared}
    reference: Judged | None = None
    found = []
    for one in finished:
        folder = one.folder(output)
        judged = read_judged(folder / "development.jsonl")
        if reference is None:
            reference = judged
        if judged.ids != reference.ids:
            raise UsageError(f"{folder}: judged other rows; delete {output} and run again")
        rows = [by_id[name] for name in judged.ids]
        found.append(_effect(one, judged, reference, rows, steps_of(folder)))
    changes = [c for e in found for c in (e.accuracy_change, e.log_loss_change) if c is not None]
    corrected = iter(holm([change.p for change in changes]))
    return found[:1] + [_judge(effect, next(corrected), next(corrected)) for effect in found[1:]]


def _effect(
    variant: Variant, own: Judged, reference: Judged, rows: Sequence[Pair], steps: int
) -> Effect:
    groups = _groups(rows)
    pairs = variant.recipe.train.pairs or 0
    measured = Effect(
        variant.title,
        variant.without,
        pairs,
        steps,
        intervals.mean(own.right, groups),
        intervals.unbounded(own.loss, groups),
    )
    if own is reference:
        return measured
    more_right, more_loss = own.right - reference.right, own.loss - reference.loss
    changes = _accuracy_change(more_right, groups), _loss_change(more_loss, groups)
    if len(np.unique(groups)) == len(rows):
        changes = replace(changes[0], p=mcnemar(own.right, reference.right)), changes[1]
    other = [i for i, row in enumerate(rows) if variant.keeps(row)]
    others, others_loss = None, None
    if 0 < len(other) < len(rows):
        some = _groups([rows[i] for i in other])
        others = _accuracy_change(more_right[other], some).difference
        others_loss = _loss_change(more_loss[other], some).difference
    return replace(
        measured,
        accuracy_change=changes[0],
        log_loss_change=changes[1],
        others=others,
        others_loss=others_loss,
    )


def _accuracy_change(more: Floats, groups: Ints) -> Change:
    return _tested(intervals.mean(more, groups, low=-1.0), more, groups)


def _loss_change(more: Floats, groups: Ints) -> Change:
    return _tested(intervals.unbounded(more, groups), more, groups)


def _tested(difference: Figure, more: Floats, groups: Ints) -> Change:
    if difference.low is None:
        return Change(difference, 1.0)
    return Change(difference, sign_flips(more, groups))


def _groups(rows: Sequence[Pair]) -> Ints:
    return clusters(row.group for row in rows)


def _judge(effect: Effect, p_accuracy: float, p_loss: float) -> Effect:
    """Set the corrected p-values, and the verdict on what was left out."""
    assert effect.accuracy_change is not None and effect.log_loss_change is not None
    accuracy = replace(effect.accuracy_change, p_holm=p_accuracy)
    loss = replace(effect.log_loss_change, p_holm=p_loss)
    # Lower accuracy or higher loss without it: it helps.
    ways = [
        (-_sign(accuracy.difference), accuracy.p_holm),
        (_sign(loss.difference, LEAST), loss.p_holm),
    ]
    seen = {way for way, _ in ways if way}
    if not seen:
        verdict = "no difference seen"
    elif len(seen) > 1:
        verdict = "accuracy and log loss disagree"
    else:
        certain = any(way and p < CERTAIN for way, p in ways)
        word = "help" if seen == {1} else "hurt"
        verdict = f"{word}s" if certain else f"may {word}"
    return replace(effect, accuracy_change=accuracy, log_loss_change=loss, verdict=verdict)


def _sign(figure: Figure, least: float = 0.0) -> int:
    """Return 1 or -1 where the whole interval is on that side of 0 and the figure is at least ``least``, else 0."""
    if figure.value is None or figure.low is None or figure.high is None:
        return 0
    if abs(figure.value) < least:
        return 0
    return (figure.low > 0) - (figure.high < 0)


def to_dict(by: str, found: Sequence[Effect], unfinished: Sequence[str]) -> dict[str, Any]:
    """Return an ablation as JSON data; differences as shares and nats."""
    return {"by": by, "variants": [asdict(one) for one in found], "unfinished": list(unfinished)}


def cells(effect: Effect) -> list[str]:
    """Return the cells under ``COLUMNS``."""
    accuracy, loss = effect.accuracy_change, effect.log_loss_change
    return [
        effect.variant,
        _cell(effect.accuracy, 100, 1, ""),
        _cell(accuracy and accuracy.difference, 100, 1),
        "" if accuracy is None else f"{accuracy.p_holm:.3f}",
        _cell(effect.others, 100, 1),
        _cell(effect.log_loss, 1, 3, ""),
        _cell(loss and loss.difference, 1, 3),
        "" if loss is None else f"{loss.p_holm:.3f}",
        f"{effect.without}: {effect.verdict}" if effect.verdict else "",
    ]


def _cell(figure: Figure | None, size: float, digits: int, sign: str = "+") -> str:
    if figure is None or figure.value is None:
        return ""
    text = f"{figure.value * size:{sign}.{digits}f}"
    if figure.low is None or figure.high is None:
        return text
    return f"{text} [{figure.low * size:{sign}.{digits}f}, {figure.high * size:{sign}.{digits}f}]"


def notes(found: Sequence[Effect]) -> str:
    """Return the caveats of the table, in words."""
    first = found[0]
    return (
        f"{first.accuracy.n} development rows; {first.pairs:,} pairs and {first.steps} steps each. Changes are against "
        f'"{first.variant}", paired row by row, with 95 % intervals and p after Holm\'s correction; "other rows" are '
        'those that are not of what was left out. "May": the interval says so, the corrected p does not. Under '
        f"{LEAST} nats of log loss no difference is seen. Another seed of the training is not in the intervals: before "
        "you drop anything, run it again with seed=1 and another --output."
    )


def markdown(by: str, found: Sequence[Effect], unfinished: Sequence[str]) -> str:
    """Return the table as Markdown."""
    lines = [f"# Ablation by {by}", "", notes(found), ""]
    lines += [_line(COLUMNS), _line(["---"] * len(COLUMNS)), *(_line(cells(e)) for e in found)]
    if unfinished:
        lines += ["", f"Not finished: {', '.join(unfinished)}."]
    return "\n".join(lines) + "\n"


def _line(row: Sequence[str]) -> str:
    return f"| {' | '.join(row)} |"
