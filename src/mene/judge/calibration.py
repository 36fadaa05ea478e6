"""A calibration: a map of a judge's probabilities on one criterion, learned from people's labels.

``mene align`` learns it (see ``bench/align/align.py``), a preset stores it, and every verdict applies it. A verdict also
keeps the model's own probabilities (``uncalibrated``), so that another calibration never requires judging again.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, field_validator, model_validator

from mene.criterion import Criterion
from mene.criterion_name import FREE
from mene.scale import label_text, text_keys
from mene.verdict import Compare

Method = Literal["none", "temperature", "bias", "isotonic"]
LEAST = 1e-9  # smaller probabilities are raised to this, so that their logarithm is finite


class Threshold(BaseModel):
    """The probability from which a label is given, chosen for a required precision or recall of that label.

    Where the probability of ``label`` is lower, the likeliest of the other labels is given.

    Attributes:
        label: of the scale.
        at: the label is given where its probability is at least this.
        precision, recall: the required value, above 0 and under 1; one of them is None.
        confidence: probability, 0 to 1, that a threshold chosen in this way reaches it (``stats/promised.py``).
        rows: number of independent rows that it was chosen on.
        held_out: ``precision`` and ``recall`` on other rows: the figure and its 95 % interval, None where undefined.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    label: str
    at: float = Field(ge=0, le=1)
    precision: float | None = Field(default=None, gt=0, lt=1)
    recall: float | None = Field(default=None, gt=0, lt=1)
    confidence: float = Field(gt=0, lt=1)
    rows: int = 0
    held_out: dict[str, tuple[float | None, float | None, float | None]] = Field(
        default_factory=dict
    )

    @field_validator("label", mode="before")
    @classmethod
    def _text(cls, value: object) -> object:
        return label_text(value)


class Alone(BaseModel):
    """How sure a judge must be of its label to decide a row without a person.

    Attributes:
        at: it decides where the probability of its label is at least this.
        error: the guaranteed maximum share of wrong labels among the rows that it decides.
        confidence: probability, over the labelled rows, that the guarantee holds (``stats/promised.py``).
        rows: number of independent rows behind it; the judge decided ``decided`` of them, ``wrong`` of those wrongly.
        compare: how pairs were judged.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    at: float = Field(ge=0, le=1)
    error: float = Field(gt=0, lt=1)
    confidence: float = Field(gt=0, lt=1)
    rows: int = 0
    decided: int = 0
    wrong: int = 0
    compare: Compare = "together"


class Calibration(BaseModel):
    """A map from probabilities to probabilities.

    Attributes:
        criterion: its name, and its ``question``; the calibration applies to no other question. None: learned on several
            questions with these labels, and applied to every one without a calibration of its own.
        labels: of the scale.
        mode: critique or verdict; it applies to no other.
        template: identity of the template (``prefix@1a2b3c4d``); it applies to no other. None: unknown.
        compare: for a pairwise scale, how pairs were judged; it applies to no other. None: unknown.
        method: ``none``: probabilities stay unchanged, and only ``threshold`` or ``alone`` was learned; ``temperature``:
            p^(1/T), normalised (Guo et al. 2017, section 4.2); ``bias``: the same with a factor e^b per label;
            ``isotonic``: an increasing curve per label, then normalised (Zadrozny & Elkan 2002).
        temperature: T, above 0.
        bias: label -> b.
        curves: label -> points (p, calibrated p) with increasing p, interpolated linearly.
        rows: number of rows that it was learned from, and the ``sets`` that they come from, unless they are the user's own.
        held_out: the effect on other rows: ``log_loss`` (nats), ``accuracy`` and ``ece`` (0 to 1), each before and after.
        threshold: the probability from which a label is given; None: the likeliest label is given.
        alone: how sure the judge must be to decide without a person; None: unknown.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    criterion: str | None
    question: str = ""
    labels: tuple[str, ...]
    mode: Literal["critique", "verdict"]
    template: str | None = None
    compare: Compare | None = None
    method: Method
    temperature: FiniteFloat = Field(default=1.0, gt=0)
    bias: dict[str, FiniteFloat] = Field(default_factory=dict)
    curves: dict[str, tuple[tuple[FiniteFloat, FiniteFloat], ...]] = Field(default_factory=dict)
    rows: int = 0
    sets: tuple[str, ...] = ()
    held_out: dict[str, tuple[float, float]] = Field(default_factory=dict)
    threshold: Threshold | None = None
    alone: Alone | None = None

    @field_validator("labels", mode="before")
    @classmethod
    def _text(cls, value: object) -> object:
        # YAML reads `[1, 2]` as numbers and `[Yes, No]` as booleans.
        return [label_text(v) for v in value] if isinstance(value, list | tuple) else value

    @field_validator("bias", "curves", mode="before")
    @classmethod
    def _text_keys(cls, value: object) -> object:
        return text_keys(value)

    @model_validator(mode="after")
    def _check(self) -> Calibration:
        for name, found in (("bias", self.bias), ("curves", self.curves)):
            unknown = set(found) - set(self.labels)
            if unknown:
                raise ValueError(f"{name} of labels that are not in labels: {', '.join(unknown)}")
        if self.method == "isotonic" and set(self.curves) != set(self.labels):
            raise ValueError("isotonic needs a curve for every label")
        if not all(self.curves.values()):
            raise ValueError("a curve needs a point")
        if self.threshold is not None and self.threshold.label not in self.labels:
            raise ValueError(
                f'threshold of a label that is not in labels: "{self.threshold.label}"'
            )
        return self

    def fits(
        self, criterion: Criterion, mode: str, template: str, compare: str | None = None
    ) -> bool:
        """Return whether it applies to this criterion, mode, template and, for pairs, comparison (None: any)."""
        if criterion.scale.labels != self.labels or mode != self.mode:
            return False
        if self.template not in (None, template):
            return False
        if (
            criterion.scale.kind == "pairwise"
            and self.compare
            and compare
            and self.compare != compare
        ):
            return False
        if self.criterion is None:
            return True
        # Questions are compared, not names. A file of an earlier version stores no question, and all questions in words had
        # the same name then.
        if self.question:
            return criterion.question == self.question
        return criterion.name == self.criterion != FREE

    def apply(self, probabilities: dict[str, float]) -> dict[str, float]:
        """Return the calibrated probabilities of the same labels; they sum to 1."""
        if self.method == "none":
            return probabilities
        if self.method == "isotonic":
            raw = {k: max(_along(self.curves[k], p), LEAST) for k, p in probabilities.items()}
        else:
            logs = {
                label: math.log(max(p, LEAST)) / self.temperature + self.bias.get(label, 0.0)
                for label, p in probabilities.items()
            }
            top = max(logs.values())
            raw = {label: math.exp(value - top) for label, value in logs.items()}
        total = sum(raw.values())
        return {label: p / total for label, p in raw.items()}


def choose(
    known: Iterable[Calibration], criterion: Criterion, mode: str, template: str, compare: str
) -> Calibration | None:
    """Return the criterion's own calibration, else one for any question with its labels, else None."""
    fitting = [c for c in known if c.fits(criterion, mode, template, compare)]
    return min(fitting, key=lambda c: c.criterion is None, default=None)


def _along(curve: tuple[tuple[float, float], ...], x: float) -> float:
    """Interpolate a curve at ``x``; constant beyond its ends."""
    place = bisect_left(curve, (x, -math.inf))
    if place == 0:
        return curve[0][1]
    if place == len(curve):
        return curve[-1][1]
    (x0, y0), (x1, y1) = curve[place - 1], curve[place]
    return y1 if x1 == x0 else y0 + (y1 - y0) * (x - x0) / (x1 - x0)
