"""One rule on one section: pass, fail or undecided, with the figure and its interval.

A rule passes where the whole interval is on its side of the threshold, and fails where it is on the other side. The interval is
the usual one of the figure (``stats/intervals.py``) or, where results are checked while they come in, one that is valid at all
times (``stats/sequential.py``). So if rows are drawn at random, a wrong decision has a probability of at most 1 minus the
confidence. ``errors`` and ``count`` are facts about this run, not estimates, and are compared directly.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from mene.errors import UsageError
from mene.gate.match import Matched
from mene.gate.measure import Measure, check_threshold, groups_of_pairs, measure_of, values_of
from mene.gate.rules import Rule
from mene.gate.sections import Section
from mene.stats import intervals, sequential
from mene.stats.columns import Floats, Ints
from mene.stats.intervals import Figure
from mene.stats.needed import rows_needed, side_of
from mene.stats.sequential import Side

Outcome = Literal["pass", "fail", "cannot tell"]


@dataclass(frozen=True, slots=True)
class Decision:
    """The outcome of a rule on one section.

    Attributes:
        figure: what was measured; for a comparison, this run minus the baseline. Without an interval for a fact, or with too
            few rows.
        percent: whether the figure is a share.
        at: the threshold; for a comparison, the margin below 0 (or above).
        failed, abstained: rows of the section without a label.
        left_out: those of them that the figure leaves out, and rows that the other run lacks.
        copies: repeated texts, which count once (``sequential``).
        more: about how many more rows are needed to decide; None: too many, or it is decided.
        decided: number of rows that the decision took, where rows were counted as they came.
        must: whether the gate fails if this rule does.
    """

    rule: Rule
    criterion: str
    judge: str
    measured: str
    outcome: Outcome
    figure: Figure
    percent: bool
    at: float
    confidence: float
    rows: int
    failed: int
    abstained: int
    left_out: int = 0
    copies: int = 0
    more: int | None = None
    decided: int | None = None
    must: bool = True
    fact: bool = False


def decide(rule: Rule, section: Section, *, confidence: float, anytime: bool = False) -> Decision:
    """Decide a rule with a threshold.

    Args:
        confidence: of this one rule.
        anytime: use an interval that is valid at all times.

    Raises:
        UsageError: the rule does not fit the section.
    """
    assert rule.figure is not None
    measure = measure_of(section, rule.figure, _where(rule))
    check_threshold(rule, measure)
    failed, abstained = section.failed, section.abstained
    whole = Decision(
        rule, section.criterion, section.judge, measure.name, "cannot tell", Figure(None, None, None, 0),
        measure.percent, rule.value, confidence, len(section.rows), failed, abstained,
    )  # fmt: skip
    if rule.figure.kind in ("errors", "count"):
        return _fact(whole)
    values, groups = values_of(section.rows, measure, bad_of(rule, measure), rule.counting)
    left_out = len(section.rows) - len(values)
    return _judged(
        replace(whole, left_out=left_out), values, groups, measure.low, measure.high, anytime
    )


def decide_change(
    rule: Rule, section: Section, before: Section, matched: Matched, *, confidence: float
) -> Decision:
    """Decide a rule against a baseline, by the mean difference over the rows of both runs.

    Args:
        before: the baseline's section.

    Raises:
        UsageError: the rule does not fit the sections.
    """
    measure = measure_of(section, rule.figure, _where(rule))
    old = measure_of(before, rule.figure or measure.figure, f"{_where(rule)}: {rule.baseline}")
    if (old.low, old.high) != (measure.low, measure.high):
        raise UsageError(
            f"{_where(rule)}: the scores of {rule.baseline} go from {old.low:g} to {old.high:g}, those of this run from "
            f"{measure.low:g} to {measure.high:g}; judge both on one scale"
        )
    bad, span = bad_of(rule, measure), measure.high - measure.low
    pairs = [
        (pair, measure.of(pair[1], bad, rule.counting), old.of(pair[0], bad, rule.counting))
        for pair in matched.pairs
    ]
    both = [(pair, new - was) for pair, new, was in pairs if new is not None and was is not None]
    values = np.array([change for _, change in both], np.float64)
    whole = Decision(
        rule, section.criterion, section.judge, measure.name, "cannot tell", Figure(None, None, None, 0),
        measure.percent, -rule.value if rule.least else rule.value, confidence, len(section.rows),
        section.failed, section.abstained, left_out=len(section.rows) - len(both),
    )  # fmt: skip
    return _judged(whole, values, groups_of_pairs([pair for pair, _ in both]), -span, span, False)


def bad_of(rule: Rule, measure: Measure) -> float:
    """Return the value of a row that counts against the rule."""
    return measure.low if rule.least else measure.high


def _where(rule: Rule) -> str:
    return f"{rule.where}: {rule}"


def _fact(whole: Decision) -> Decision:
    rule, rows = whole.rule, whole.rows
    assert rule.figure is not None
    share = rule.figure.kind == "errors"
    value = whole.failed / rows if share and rows else float(rows - whole.failed)
    figure = Figure(value, None, None, rows)
    if share and not rows:  # a share of no rows is undefined
        return replace(whole, percent=share)
    outcome = "pass" if rule.holds(value) else "fail"
    return replace(whole, outcome=outcome, figure=figure, percent=share, fact=True)


def _judged(
    whole: Decision, values: Floats, groups: Ints, low: float, high: float, anytime: bool
) -> Decision:
    level, copies = (1 + whole.confidence) / 2, 0
    at_is_above = whole.rule.at_is_above
    if anytime:  # a repeated text adds no information
        first = np.sort(np.unique(groups, return_index=True)[1])
        copies = len(values) - len(first)
        values, groups = values[first], groups[first]
        kinds, counts = np.unique(values, return_counts=True)
        figure = sequential.mean(kinds, counts, low=low, high=high, level=level)
    else:
        figure = intervals.mean(values, groups, low=low, high=high, level=level)
    side = side_of(figure, whole.at, at_is_above=at_is_above)
    more = None
    if side is None and len(values):
        more = rows_needed(
            values,
            groups,
            whole.at,
            low=low,
            high=high,
            level=level,
            at_is_above=at_is_above,
            anytime=anytime,
        )
    outcome = outcome_of(side, whole.rule.least)
    return replace(whole, figure=figure, outcome=outcome, copies=copies, more=more)


def outcome_of(side: Side | None, least: bool) -> Outcome:
    """Return the outcome of a rule whose figure is on this side of the threshold."""
    if side is None:
        return "cannot tell"
    return "pass" if (side == "above") == least else "fail"
