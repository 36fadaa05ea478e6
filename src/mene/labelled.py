"""A question with its right answer, as benchmarks and training pairs use it."""

from __future__ import annotations

from dataclasses import dataclass

from mene.criterion import Criterion
from mene.sample import Sample


@dataclass(frozen=True, slots=True)
class LabelledQuestion:
    """A sample, a criterion, and the right answer.

    Attributes:
        gold: a label of the criterion's scale or, on an ordinal scale, a number (such as the mean of several people's scores).
        group: name shared by questions that are not independent. Confidence intervals resample whole groups, and a split
            never divides a group.
    """

    sample: Sample
    criterion: Criterion
    gold: str | float
    group: str

    @property
    def label(self) -> str:
        """The gold label; for a number, the nearest label, and the lower one halfway between two."""
        gold = self.gold
        if isinstance(gold, str):
            return gold
        return min(self.criterion.scale.labels, key=lambda label: abs(float(label) - gold))

    @property
    def value(self) -> float | None:
        """The gold number as given; None where the gold is a label."""
        return None if isinstance(self.gold, str) else self.gold
