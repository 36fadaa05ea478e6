"""A question whose right answer is known: what benchmarks measure by, and what training pairs are made of."""

from __future__ import annotations

from dataclasses import dataclass

from mene.criterion import Criterion
from mene.sample import Sample


@dataclass(frozen=True, slots=True)
class LabelledQuestion:
    """A sample, what is asked about it, and the right answer.

    Attributes:
        gold: a label of the criterion's scale, or, on an ordinal scale, a number (the mean of several people's scores).
        group: what questions share that are not independent; those of one group count together in intervals, and never
            stand on both sides of a split.
    """

    sample: Sample
    criterion: Criterion
    gold: str | float
    group: str

    @property
    def label(self) -> str:
        """The gold label; of a number the nearest label, the lower of two."""
        gold = self.gold
        if isinstance(gold, str):
            return gold
        return min(self.criterion.scale.labels, key=lambda label: abs(float(label) - gold))

    @property
    def value(self) -> float | None:
        """The gold number as it was given; None where the gold is a label."""
        return None if isinstance(self.gold, str) else self.gold
