"""What a rule or a comparison measures: one bounded number per row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mene.errors import UsageError, nearest
from mene.gate.rules import Measured, Rule
from mene.gate.sections import Said, Section, score_of
from mene.scale import Scale
from mene.stats.clusters import clusters, joined
from mene.stats.columns import Floats, Ints


@dataclass(frozen=True, slots=True)
class Measure:
    """A figure of one section, ready to be computed.

    Attributes:
        name: as shown: ``share(Yes)``, ``mean``.
        low, high: bounds of a row's value.
        percent: whether it is a share.
        scale: of a mean.
    """

    figure: Measured
    low: float = 0.0
    high: float = 1.0
    percent: bool = True
    labels: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        return str(self.figure)

    def of(
        self, row: Said, bad: float | None, counting: frozenset[str] = frozenset()
    ) -> float | None:
        """Return a row's value; None where it is left out.

        Args:
            bad: the value of an unlabelled row that counts as bad.
            counting: which unlabelled rows count as bad: ``errors``, ``abstained``.
        """
        if self.figure.kind == "abstained":
            return None if row.failed else float(row.abstained)
        if self.figure.kind == "errors":
            return float(row.failed)
        if (row.failed and "errors" in counting) or (row.abstained and "abstained" in counting):
            return bad
        if row.label is None:
            return None
        if self.figure.kind == "share":
            return float(row.label in self.labels)
        return score_of(row)


def measure_of(section: Section, figure: Measured | None, where: str) -> Measure:
    """Return how a figure is measured on a section.

    Args:
        figure: None: the mean on an ordinal scale, the share of good labels on a nominal one.
        where: prefix of messages: the rule, or the option.

    Raises:
        UsageError: the section has no such label, no scores, or a scale with unknown bounds.
    """
    scale = section.scale
    if figure is None:
        figure = _usual(section, scale, where)
    if figure.kind in ("errors", "abstained", "count"):
        return Measure(figure)
    if figure.kind == "share":
        return Measure(
            figure, labels=frozenset(_label(name, section, where) for name in figure.labels)
        )
    given = figure.scale or scale
    if given is not None and given.kind != "ordinal":
        raise UsageError(
            f"{where}: {section.criterion} has the labels {given}, which have no mean; write "
            f"share({given.labels[0]})"
        )
    if figure.scale is None and scale is not None and not section.scale_is_whole:
        raise UsageError(
            f"{where}: these verdicts have no probabilities, so the ends of their scale are not known; write it, as in "
            "mean on 1-5"
        )
    low, high = (given.values[0], given.values[-1]) if given is not None else (0.0, 1.0)
    beyond = [
        s for row in section.rows if (s := score_of(row)) is not None and not low <= s <= high
    ]
    if beyond:
        raise UsageError(
            f"{where}: {section.criterion} has the score {beyond[0]:g}, which is not on the scale {given}; name another one "
            "behind `mean on`"
        )
    return Measure(figure, low, high, percent=False)


def _usual(section: Section, scale: Scale | None, where: str) -> Measured:
    if scale is None or scale.kind == "ordinal":
        return Measured("mean")
    if good := section.good():
        return Measured("share", good)
    raise UsageError(
        f"{where}: nobody knows which labels of {section.criterion} ({scale}) are good; name them: no drop in "
        f"share({scale.labels[0]}) against …"
    )


def _label(label: str, section: Section, where: str) -> str:
    scale = section.scale
    if scale is None:
        return label
    found = scale.match(label)
    if found is None and section.scale_is_whole:
        raise UsageError(
            f'{where}: "{label}" is no label of {section.criterion}{nearest(label, scale.labels)}; its labels are '
            f"{', '.join(scale.labels)}"
        )
    return label if found is None else found  # possibly a label that no row has


def check_threshold(rule: Rule, measure: Measure) -> None:
    """Check that a threshold can be both reached and missed.

    Raises:
        UsageError: says which values are possible.
    """
    if (
        rule.baseline is None
        and not measure.percent
        and not measure.low <= rule.value <= measure.high
    ):
        raise UsageError(
            f"{rule.where}: {rule}: the scale goes from {measure.low:g} to {measure.high:g}, and {rule.value:g} is not on it"
        )


def groups_of(rows: Sequence[Said]) -> Ints:
    """Return the clusters: rows with the same text belong together."""
    return clusters(row.content or ("alone", number) for number, row in enumerate(rows))


def groups_of_pairs(pairs: Sequence[tuple[Said, Said]]) -> Ints:
    """Return the clusters of rows of two runs: pairs with the same text in either run belong together."""
    return joined(groups_of([one for one, _ in pairs]), groups_of([other for _, other in pairs]))


def values_of(
    rows: Sequence[Said], measure: Measure, bad: float, counting: frozenset[str]
) -> tuple[Floats, Ints]:
    """Return the values of the rows that have one, and their clusters."""
    pairs = [(row, value) for row in rows if (value := measure.of(row, bad, counting)) is not None]
    values = np.array([value for _, value in pairs], np.float64)
    return values, groups_of([row for row, _ in pairs])
