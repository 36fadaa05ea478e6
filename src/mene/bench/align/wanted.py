"""A user's requirement on an aligned judge: a threshold for a precision or recall, or the rows that it may decide without a
person. ``reached`` finds out what is possible.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from mene.criterion import Criterion
from mene.errors import UsageError, nearest
from mene.stats.promised import least_risk, least_rows

CONFIDENCE = 0.9


@dataclass(frozen=True, slots=True)
class Wanted:
    """One of three requirements; the fields of the others are None.

    Attributes:
        precision, recall: of ``label``, above 0 and under 1.
        error: maximum share of wrong labels among those given without a person.
        confidence: probability that the requirement is met.
    """

    confidence: float = CONFIDENCE
    precision: float | None = None
    recall: float | None = None
    label: str | None = None
    error: float | None = None

    @property
    def risk(self) -> float:
        """The allowed share of errors: among rows decided alone, among rows given the label, or among the label's rows."""
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
    """Return the requirement in the options of ``mene align``; None without one.

    Raises:
        UsageError: an impossible share, a label that is not on the scale, or two requirements at once.
    """
    given = {"--precision": precision, "--recall": recall, "--error": error}
    given = {name: value for name, value in given.items() if value is not None}
    if not given:
        for name, value in (("--for", label), ("--confidence", confidence)):
            if value is not None:
                raise UsageError(f"{name} needs a goal: add --precision, --recall or --error")
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
            f"{criterion.name} compares two responses, and a threshold on one of their labels would favour one position; --error "
            "works for pairs" + (", and --for tie" if "tie" in scale.labels else "")
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
    """Check early that there are enough labels, whatever the judge will say.

    Args:
        gold: labels; ``groups``: what their rows share.
        where: the source of the labels, for messages.

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
    # Rounded to the side that can be guaranteed.
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
        f"{wanted.confidence:g} takes {least}, even of a judge that is never wrong; label {least - rows} more with "
        f"other contexts or texts{rest}"
    )
