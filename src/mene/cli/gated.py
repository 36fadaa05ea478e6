"""``mene judge --gate``: rules on a run, judged at its end or while rows arrive."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mene.cli.console import Screen, say
from mene.cli.gate_shown import check_stdout, is_stdout, rules_of, show_gate
from mene.criterion import Criterion
from mene.errors import UsageError
from mene.gate.gate import Gate, check_rules, judge_rules
from mene.gate.live import Live, in_random_order
from mene.gate.outputs import as_json
from mene.gate.sections import Section, read_sections, said
from mene.runs.source import STDIN
from mene.runs.tables import Row
from mene.verdict import Verdict

if TYPE_CHECKING:
    from mene.cli.judge_options import JudgeOptions

OnVerdict = Callable[[Verdict], None]


class Gated:
    """Rules, and the verdicts of a run as they arrive.

    Args:
        criteria: of the run.

    Raises:
        UsageError: a rule is wrong, or does not fit these criteria.
    """

    def __init__(self, options: JudgeOptions, criteria: Iterable[Criterion]) -> None:
        check_stdout(
            output=options.output == STDIN, json=options.json_ and options.output != STDIN,
            junit=is_stdout(options.junit), markdown=is_stdout(options.markdown),
        )  # fmt: skip
        self._options = options
        self.rules, self.terms = rules_of(options.gate, options.rule)
        self.sections = [Section(c.name, "", c.own_question, given=c) for c in criteria]
        check_rules(self.rules, self.sections)
        # Read now: one of them may be the file that this run writes to.
        paths = dict.fromkeys(rule.baseline for rule in self.rules if rule.baseline is not None)
        self._baselines = {path: read_sections(Path(path)) for path in paths}
        self._places: dict[tuple[str, int, str], tuple[Section, int]] = {}
        self._live = None
        if options.stop_when_decided:
            if options.reconsider:
                raise UsageError(
                    "--stop-when-decided counts first labels, which --reconsider may change; leave one of them out"
                )
            self._live = Live(self.rules, self.sections, self.terms)

    def hearing(self, then: OnVerdict) -> OnVerdict:
        """``then``, for verdicts that are new."""

        def heard(verdict: Verdict) -> None:
            self.add(verdict)
            then(verdict)

        return heard

    def add(self, verdict: Verdict) -> None:
        """Add a verdict, or replace it by its version with a critique."""
        place = verdict.criterion, verdict.row or 0, verdict.id
        if place in self._places:
            section, at = self._places[place]
            section.rows[at] = said(verdict)
            return
        section = next(s for s in self.sections if s.criterion == verdict.criterion)
        section.judge = verdict.judge
        self._places[place] = section, len(section.rows)
        section.add(verdict)
        if self._live is not None:
            self._live.add(verdict)

    def rows(self, rows: Iterable[Any], path: str, limit: int | None) -> Iterable[Row | None]:
        """Yield the rows to judge: all, or in random order until the gate is decided."""
        if self._live is None:
            return rows
        if path == STDIN:
            say(
                "mene: --stop-when-decided: rows are judged as they come; its promise needs them in random order"
            )
        else:
            rows = in_random_order(rows, limit, self._options.seed or 0)
        return self._live.until_decided(rows)

    def judged(self) -> Gate:
        """Return the gate at the end of the run."""
        gate = judge_rules(
            self.sections,
            self.rules,
            self.terms,
            anytime=self._live is not None,
            baselines=self._baselines,
        )
        return gate if self._live is None else self._live.settle(gate)

    def show(self, gate: Gate) -> int:
        """Show the gate, and return the exit code."""
        options = self._options
        quiet_stdout = options.json_ or options.output == STDIN
        return show_gate(
            gate,
            options.file,
            json=options.json_,
            quiet=options.quiet,
            junit=options.junit,
            markdown=options.markdown,
            screen=Screen(stderr=True) if quiet_stdout else None,
        )

    def as_json(self, gate: Gate) -> dict[str, Any]:
        """Return the data for ``--json``."""
        return as_json(gate)
