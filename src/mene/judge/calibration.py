"""A calibration: what a judge's probabilities on one criterion become after people's labels are known.

Learned by ``mene align`` (see ``bench/align/align.py``), kept in a judge's preset, applied to every verdict. A verdict
keeps what the model said too (``uncalibrated``), so that another calibration never means judging again.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, field_validator, model_validator

from mene.criterion import FREE, Criterion
from mene.scale import label_text, text_keys
from mene.verdict import Compare

Method = Literal["none", "temperature", "bias", "isotonic"]
LEAST = 1e-9  # probabilities below this are taken for it, so that logarithms exist


class Threshold(BaseModel):
    """From which probability on a label is given, for a wanted precision or recall of it.

    Where the probability of ``label`` is lower, the likeliest of the other labels is given.

    Attributes:
        label: of the scale.
        at: the label is given where its probability is this or more.
        precision, recall: what was wanted, above 0 and under 1; one of them is None.
        confidence: how often, of 1, a threshold that is chosen so reaches that (``stats/promised.py``).
        rows: independent rows that it was chosen on.
        held_out: ``precision`` and ``recall`` on rows that it was not chosen on: the figure and its 95 % interval, each None
            where there is none.
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
        at: it decides where the probability of its label is this or more.
        error: of the rows that it decides at most this share has the wrong label,
        confidence: with this probability over the labelled rows (the promise: ``stats/promised.py``).
        rows: independent rows that prove it; the judge decided ``decided`` of them, ``wrong`` of those wrongly.
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
        criterion: name it was learned on, and its ``question``; it is used for no other question. None: learned on many questions
            with these labels, and used for every one that has no calibration of its own.
        labels: of the scale.
        mode: critique or verdict; it is used in no other.
        template: identity of the template that the model was asked with (``prefix@1a2b3c4d``); it is used with no other. None:
            not known.
        compare: of a pairwise scale, how pairs were judged; it is used with no other. None: not known.
        method: ``none``: they stay as they are, and only ``threshold`` or ``alone`` was learned; ``temperature``:
            p^(1/T), normalised (Guo et al. 2017, section 4.2); ``bias``: the same with a factor e^b per label;
            ``isotonic``: a rising curve per label, then normalised (Zadrozny & Elkan 2002).
        temperature: T, above 0.
        bias: label -> b.
        curves: label -> points (p, calibrated p), p rising; between points it is linear.
        rows: that it was learned from, and the ``sets`` they are of, where they are not the user's.
        held_out: what it brings on rows that it was not learned from: ``log_loss`` (nats), ``accuracy`` and ``ece`` (0 to
            1), each before and after.
        threshold: what a label's probability must reach to be given; None: the likeliest label is given.
        alone: how sure the judge must be to decide without a person; None: not known.
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
        """Was it learned on this criterion (or on any), scale, mode, template and, of pairs, comparison (None: any)?"""
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
        # The question is what was asked, under whatever name; a file that was written before names no question, and
        # those that a user writes all have one name.
        if self.question:
            return criterion.question == self.question
        return criterion.name == self.criterion != FREE

    def apply(self, probabilities: dict[str, float]) -> dict[str, float]:
        """Calibrated probabilities of the same labels; they sum to 1."""
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
    """The calibration for a criterion: its own, else one for any question with its labels, else None."""
    fitting = [c for c in known if c.fits(criterion, mode, template, compare)]
    return min(fitting, key=lambda c: c.criterion is None, default=None)


def _along(curve: tuple[tuple[float, float], ...], x: float) -> float:
    """The height of a curve at ``x``; flat beyond its ends."""
    place = bisect_left(curve, (x, -math.inf))
    if place == 0:
        return curve[0][1]
    if place == len(curve):
        return curve[-1][1]
    (x0, y0), (x1, y1) = curve[place - 1], curve[place]
    return y1 if x1 == x0 else y0 + (y1 - y0) * (x - x0) / (x1 - x0)
