"""Overall results of a set of criteria over many parts: counts of each part, which add up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mene.criteria_set import CriteriaSet
from mene.runs.wide import Passed, passed, wide
from mene.verdict import Verdict


def counted(verdicts: Iterable[Verdict], criteria: CriteriaSet) -> list[float]:
    """Return a part's number of samples, of those with unknown result, of those that pass; sum and number of known scores.

    Empty where the set has no rules.
    """
    if not criteria.rules:
        return []
    frame = wide(verdicts, criteria)
    found, scores = passed(frame), frame["overall_score"].drop_nulls()
    return [found.samples, found.unknown, found.passed or 0, float(scores.sum()), len(scores)]


def overall(parts: Iterable[Sequence[float]], criteria: CriteriaSet) -> Passed | None:
    """Return the totals over all parts; None where the set has no rules, or there are no parts."""
    found = [part for part in parts if part]
    if not criteria.rules or not found:
        return None
    samples, unknown, passing, score, scored = (sum(column) for column in zip(*found, strict=True))
    must = any(rule.must_pass for rule in criteria.rules.values())
    return Passed(
        samples=int(samples),
        unknown=int(unknown),
        passed=int(passing) if must else None,
        score=score / scored if scored else None,
    )
