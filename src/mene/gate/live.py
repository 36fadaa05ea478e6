"""A gate on incoming verdicts: decisions are final, and a run may end as soon as the gate is decided.

Intervals are valid at all times (``stats/sequential.py``), so checking after each row costs nothing. Rows must be counted in
random order: a table whose good rows come first would pass too early. Verdicts come in another order than that in which rows
were drawn (those that share a prompt's beginning, and those that an earlier run has left, come first), so each waits until it
is its turn.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from random import Random

from mene.errors import UsageError
from mene.gate.decide import Outcome, bad_of, outcome_of
from mene.gate.gate import Gate, is_fact, must_pass, own_confidence, with_usual
from mene.gate.measure import Measure, check_threshold, measure_of
from mene.gate.rules import EVERY, Rule
from mene.gate.rules_file import Terms
from mene.gate.sections import Section, said
from mene.runs.tables import Row
from mene.stats.intervals import Figure
from mene.stats.sequential import Side, Threshold
from mene.verdict import Verdict

PAUSE, LONGEST_PAUSE = 32, 1024  # rows before the first decision, and at most between two
Turn = tuple[str, int]  # criterion and row


@dataclass
class _Errors:
    """How many rows failed, and may."""

    rule: Rule
    section: Section
    rows: int = 0
    failed: int = 0

    def add(self, verdict: Verdict) -> None:
        self.rows += 1
        self.failed += verdict.error is not None

    @property
    def too_many(self) -> bool:
        return not self.rule.holds(self.failed / self.rows) if self.rows else False


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
        self._errors = [
            _Errors(rule, section)
            for rule, section in with_usual(rules, sections, terms)
            if is_fact(rule) and str(rule.figure) == "errors"
        ]
        self._turns: deque[Turn] = (
            deque()
        )  # of the rows that are not counted yet, as they were drawn
        self._come: dict[Turn, Verdict] = {}

    def expect(self, criterion: str, row: int) -> None:
        """Give a row, which has just been drawn, its turn."""
        self._turns.append((criterion, row))

    def add(self, verdict: Verdict) -> None:
        """Add the verdict on a row that was drawn, and count all whose turn it is."""
        self._come[verdict.criterion, verdict.row or 0] = verdict
        while self._turns and self._turns[0] in self._come:
            self._count(self._come.pop(self._turns.popleft()))

    def _count(self, verdict: Verdict) -> None:
        for one in (*self._watched, *self._errors):
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
        # An error or two among the few rows so far say little: the run goes on until they are as few as they may be.
        if any(one.too_many for one in self._errors):
            return False
        return all(self._has_enough(rule) for rule in self._counts)

    def _has_enough(self, rule: Rule) -> bool:
        on = [s for s in self._sections if rule.criterion == EVERY or s.is_called(rule.criterion)]
        return not rule.least or all(len(s.rows) - s.failed >= rule.value for s in on)

    def until_decided(self, rows: Iterable[Row | None]) -> Iterator[Row | None]:
        """Yield the rows until the gate is decided; None where those so far are to be judged before more are read.

        An engine reads rows far ahead, to judge together those that begin alike. So it is given a few at first, then more.
        """
        given, pause = 0, PAUSE
        for row in rows:
            if self.decided:
                return
            if row is not None:
                assert row.criterion is not None
                self.expect(row.criterion.name, row.number + 1)
                given += 1
            yield row
            if given >= pause:
                given, pause = 0, min(round(1.5 * pause), LONGEST_PAUSE)
                yield None

    def settle(self, gate: Gate) -> Gate:
        """Return the gate with the decisions made during the run, whatever came later."""
        outcomes = {(one.rule, one.section.criterion): one for one in self._watched}
        decisions = []
        for d in gate.decisions:
            one = outcomes.get((d.rule, d.criterion))
            if one is not None and one.outcome != "cannot tell":
                d = replace(d, outcome=one.outcome, decided=one.threshold.decided, more=None)
                d = replace(d, figure=_beyond(d.figure, d.at, one.threshold.side))
            decisions.append(d)
        return replace(gate, decisions=tuple(decisions))


def _beyond(figure: Figure, at: float, side: Side | None) -> Figure:
    """Return the figure with an interval that leaves out what an earlier, narrower one has excluded: all of them hold at once."""
    if figure.value is None or figure.low is None or figure.high is None:
        return figure
    if side == "above" and figure.value >= at:
        return replace(figure, low=max(figure.low, at))
    if side == "below" and figure.value <= at:
        return replace(figure, high=min(figure.high, at))
    return figure


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
