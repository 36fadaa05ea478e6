"""The output of ``mene judge`` during a run: a bar, warnings, and the first verdicts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, TimeElapsedColumn

from mene.cli.console import Screen, hand_on, plain, progress_bar, spinner, warner, words
from mene.cli.few_words import FewWords
from mene.cli.long_row import LongRow, reading_said
from mene.cli.plain_progress import TimeLeft
from mene.cli.verdict_shown import print_claims, print_verdict
from mene.events import Advance, Begin, Event, Warn
from mene.judge.any_judge import AnyJudge
from mene.judge.claims import failing_claims
from mene.judge.explaining import UNSURE
from mene.judge.open import CRITIQUE_SLOTS
from mene.runs.formats import count_rows
from mene.runs.source import STDIN
from mene.runs.summary import Summary, whole
from mene.runs.under_way import reasons_of, work_of
from mene.text.visible import visible
from mene.verdict import Verdict

if TYPE_CHECKING:
    from mene.cli.judge import Plan
    from mene.cli.judge_options import JudgeOptions

SHOWN = 30  # default number of printed verdicts


class Watch:
    """The output of one run.

    Attributes:
        total: number of rows of the table, ``rows`` of this run; None: not known.
        summaries: criterion -> summary, filled in by the run.
        first: the first error.
    """

    def __init__(self, options: JudgeOptions, plan: Plan, judge: AnyJudge) -> None:
        self.plan, self.judge = plan, judge
        names = [criterion.name for criterion in plan.criteria]
        self.summaries = {name: Summary() for name in names}
        self._reasons = reasons_of(work_of(names))
        self._several = len(names) > 1
        self.first = ""
        self.total = count_rows(options.file)
        limit = options.limit
        self.rows = min(self.total, limit) if self.total and limit else self.total
        self.errors, self.screen = Screen(stderr=True, quiet=options.quiet), Screen()
        self.texts = FewWords(warner(self.errors), whole=options.claims)
        self._hands_on = options.output == STDIN
        hidden = self._hands_on or options.json_ or options.quiet
        shown = SHOWN if options.show is None else options.show
        self._remaining = 0 if hidden else shown
        self._silent = not self._remaining
        self._untold = not self._silent  # whether it must still print that there are more
        self._said = ""  # the last error on the screen
        long_row = LongRow()
        long_row.engines = engines = [one.engine for one in judge.judges]
        self.bar = progress_bar(
            spinner(),
            words(),
            BarColumn(),
            MofNCompleteColumn(),
            long_row,
            TimeElapsedColumn(),
            words("left"),
            TimeLeft(),
            console=self.errors,
            hidden=options.quiet,
            stuck=lambda: reading_said(engines),
            redirect_stdout=not self._hands_on,
        )
        self._task = self.bar.add_task(
            f"{len(names)} criteria" if self._several else visible(names[0]),
            total=self.rows and self.rows * len(names),
            rate="",
            visible=self.rows != 0,
        )
        self._critiques = self._task

    def events(self, event: Event) -> None:
        """Show the progress of the run."""
        match event:
            case Begin(work, total) if work == self._reasons:
                self._begin_reasons(total or 0)
            case Advance(work, by) if work == self._reasons:
                self.bar.update(self._critiques, advance=by)
            case Advance(_, by):
                elapsed = self.bar.tasks[0].elapsed or 0.0
                judged = sum(summary.judged for summary in self.summaries.values())
                rate = f"{judged / elapsed:.1f}/s" if elapsed else ""
                self.bar.update(self._task, advance=by, rate=rate)
            case Warn(text):
                warner(self.errors)(text)

    def _begin_reasons(self, rows: int) -> None:
        if not self._silent:
            failing = dict.fromkeys(f for c in self.plan.criteria for f in c.failing or ())
            which = WHICH[self.plan.explaining.which].format(labels=", ".join(failing))
            what = "verdict" if self._several else "row"
            said = f"Reasons for {rows} {what}{'s' * (rows != 1)}{plain(which)}:"
            self.screen.print(f"\n[dim]{said}[/dim]")
        together = min(rows, self.plan.settings.get("concurrency") or CRITIQUE_SLOTS)
        # The bar does not move until the first critiques are written.
        here = self.judge.judges[0].engine.identity.startswith(("llamacpp:", "openvino:"))
        what = f"reasons, {together} at once" if here and together > 1 else "reasons"
        self._critiques = self.bar.add_task(what, total=rows, rate="")

    def on_verdict(self, verdict: Verdict) -> None:
        """Pass a verdict on, or show it if it is one of the first."""
        if verdict.error is not None and not self.first:
            self.first = ": ".join(filter(None, (self.texts.place(verdict), verdict.error)))
        if self._hands_on:
            hand_on(verdict.to_json())
        elif self._remaining and verdict.error is not None and verdict.error in self._said:
            if verdict.error == self._said:  # print it once; all rows may lack a column
                again = "        more rows have this error; they are counted below"
                self.screen.print(f"[dim]{again}[/dim]")
                self._said += "\n"
        elif self._remaining:
            self._remaining -= 1
            self._said = verdict.error or ""
            text, place = self.texts.of(verdict), self.texts.place(verdict)
            self._print(verdict, text, place)
            self._show_claims(verdict)
        elif self._untold:
            self._untold = False
            where = f"[dim]the others go to {plain(self.plan.ledger)}[/dim]"
            self.screen.print(where, soft_wrap=True)

    def _show_claims(self, verdict: Verdict) -> None:
        """Show the failing claims, in their own words."""
        failing = failing_claims(verdict, self.plan.criterion_of(verdict))
        if failing:
            print_claims(self.screen, failing, len(verdict.parts), self.texts.response(verdict))

    def on_explained(self, verdict: Verdict) -> None:
        """Show a verdict again, with its critique."""
        if not self._silent:
            self._print(verdict, self.texts.of(verdict))

    def _print(self, verdict: Verdict, text: str, place: str = "") -> None:
        criterion = verdict.criterion if self._several else ""
        print_verdict(self.screen, verdict, text, place, criterion)

    @property
    def whole(self) -> Summary:
        """Return the summary over all criteria."""
        return whole(self.summaries.values())


WHICH = {
    "failing": " that fail ({labels})",
    "uncertain": f" that are uncertain (p under {UNSURE})",
    "all": "",
    "none": "",
}
