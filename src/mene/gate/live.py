"""A gate on incoming verdicts: decisions are final, and a run may end as soon as the gate is decided.

Intervals are valid at all times (``stats/sequential.py``), so checking after each row costs nothing. Rows must be in random
order: a table whose good rows come first would pass too early.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from random import Random

from mene.errors import UsageError
from mene.gate.decide import Outcome, bad_of, outcome_of
from mene.gate.gate import Gate, is_fact, must_pass, own_confidence
from mene.gate.measure import Measure, check_threshold, measure_of
from mene.gate.rules import EVERY, Rule
from mene.gate.rules_file import Terms
from mene.gate.sections import Section, said
from mene.runs.tables import Row
from mene.stats.sequential import Threshold
from mene.verdict import Verdict


@dataclass
class _Watched:
    """One rule on one criterion."""

    rule: Rule
    section: Section
    measure: Measure
    threshold: Threshold
    must: bool
    texts: set[str] = field(default_factory=set)

    def add(self, verdict: Verdict) -> None:
        """Add a verdict; a repeated text adds no information and is ignored."""
        row = said(verdict)
        value = self.measure.of(row, bad_of(self.rule, self.measure), self.rule.counting)
        if value is None or (row.content and row.content in self.texts):
            return
        self.texts.add(row.content)
        self.threshold.add(value)

    @property
    def outcome(self) -> Outcome:
        return outcome_of(self.threshold.side, self.rule.least)


class Live:
    """Rules on a run in progress.

    Args:
        sections: of the run, still empty, with their criteria.

    Raises:
        UsageError: a rule is against a baseline, which is possible only at the end, or does not fit.
    """

    def __init__(self, rules: list[Rule], sections: list[Section], terms: Terms) -> None:
        for rule in rules:
            if rule.baseline is not None:
                raise UsageError(
                    f"{rule.where}: {rule}: a rule against a baseline is judged when all rows are there; leave "
                    "--stop-when-decided out, or the rule"
                )
        self._rules, self._sections = rules, sections
        fitting = [
            (rule, section)
            for rule in rules
            for section in sections
            if not is_fact(rule) and (rule.criterion == EVERY or section.is_called(rule.criterion))
        ]
        level = (1 + own_confidence(terms, len(fitting))) / 2
        self._watched = [_watch(*pair, level, terms) for pair in fitting]
        self._counts = [r for r in rules if r.figure is not None and r.figure.kind == "count"]

    def add(self, verdict: Verdict) -> None:
        """Add a verdict that its section already contains."""
        for one in self._watched:
            if one.section.is_called(verdict.criterion):
                one.add(verdict)

    @property
    def decided(self) -> bool:
        """Whether the gate's outcome is known: a rule that must pass has failed, or all rules are decided.

        A rule on the count of rows is decided when it holds.
        """
        if not self._watched:
            return False
        if any(one.must and one.outcome == "fail" for one in self._watched):
            return True
        if any(one.outcome == "cannot tell" for one in self._watched):
            return False
        return all(self._has_enough(rule) for rule in self._counts)

    def _has_enough(self, rule: Rule) -> bool:
        on = [s for s in self._sections if rule.criterion == EVERY or s.is_called(rule.criterion)]
        return not rule.least or all(len(s.rows) - s.failed >= rule.value for s in on)

    def until_decided(self, rows: Iterable[Row | None]) -> Iterator[Row | None]:
        """Yield the rows until the gate is decided."""
        for row in rows:
            if self.decided:
                return
            yield row

    def settle(self, gate: Gate) -> Gate:
        """Return the gate with the decisions made during the run, whatever came later."""
        outcomes = {(one.rule, one.section.criterion): one for one in self._watched}
        decisions = []
        for d in gate.decisions:
            one = outcomes.get((d.rule, d.criterion))
            if one is not None and one.outcome != "cannot tell":
                d = replace(d, outcome=one.outcome, decided=one.threshold.decided, more=None)
            decisions.append(d)
        return replace(gate, decisions=tuple(decisions))


def _watch(rule: Rule, section: Section, level: float, terms: Terms) -> _Watched:
    measure = measure_of(section, rule.figure, f"{rule.where}: {rule}")
    check_threshold(rule, measure)
    threshold = Threshold(rule.value, low=measure.low, high=measure.high, level=level)
    return _Watched(rule, section, measure, threshold, must_pass(terms, section))


def in_random_order(rows: Iterable[Row], limit: int | None, seed: int) -> list[Row]:
    """Return the rows of a table, or its first ``limit`` rows, in random order."""
    drawn = [row for row in rows if limit is None or row.number < limit]
    Random(seed).shuffle(drawn)
    return drawn
