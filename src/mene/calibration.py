"""A calibration: what a judge's probabilities on one criterion become after people's labels are known.

Learned by ``mene align`` (see ``bench/align.py``), kept in a judge's preset, applied to every verdict.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mene.criterion import FREE, Criterion

Method = Literal["temperature", "bias", "isotonic"]
LEAST = 1e-9  # probabilities below this are taken for it, so that logarithms exist


class Calibration(BaseModel):
    """A map from probabilities to probabilities.

    Attributes:
        criterion: name it was learned on, and its ``question``; it is used for no other.
        labels: of the scale.
        mode: critique or verdict; it is used in no other.
        method: ``temperature``: p^(1/T), normalised (Guo et al. 2017, section 4.2); ``bias``: the same
            with a factor e^b per label; ``isotonic``: a rising curve per label, then normalised
            (Zadrozny & Elkan 2002).
        temperature: T, above 0.
        bias: label -> b.
        curves: label -> points (p, calibrated p), p rising; between points it is linear.
        rows: that it was learned from.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    criterion: str
    question: str = ""
    labels: tuple[str, ...]
    mode: Literal["critique", "verdict"]
    method: Method
    temperature: float = Field(default=1.0, gt=0)
    bias: dict[str, float] = Field(default_factory=dict)
    curves: dict[str, tuple[tuple[float, float], ...]] = Field(default_factory=dict)
    rows: int = 0

    @model_validator(mode="after")
    def _check(self) -> Calibration:
        for name, found in (("bias", self.bias), ("curves", self.curves)):
            unknown = set(found) - set(self.labels)
            if unknown:
                raise ValueError(f"{name} of labels that are not in labels: {', '.join(unknown)}")
        if self.method == "isotonic" and set(self.curves) != set(self.labels):
            raise ValueError("isotonic needs a curve for every label")
        return self

    def fits(self, criterion: Criterion, mode: str) -> bool:
        """Was it learned on this criterion, scale and mode?"""
        # Questions that a user writes all have one name; a file that was written before names no question.
        same = criterion.name == self.criterion and criterion.scale.labels == self.labels
        same &= criterion.question == self.question or (
            not self.question and criterion.name != FREE
        )
        return same and mode == self.mode

    def apply(self, probabilities: dict[str, float]) -> dict[str, float]:
        """Calibrated probabilities of the same labels; they sum to 1."""
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


def _along(curve: tuple[tuple[float, float], ...], x: float) -> float:
    """The height of a curve at ``x``; flat beyond its ends."""
    place = bisect_left(curve, (x, -math.inf))
    if place == 0:
        return curve[0][1]
    if place == len(curve):
        return curve[-1][1]
    (x0, y0), (x1, y1) = curve[place - 1], curve[place]
    return y1 if x1 == x0 else y0 + (y1 - y0) * (x - x0) / (x1 - x0)
