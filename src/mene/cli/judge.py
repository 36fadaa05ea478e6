"""``mene judge``."""

from __future__ import annotations

import json
import signal
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mene.cli.console import (
    READER_GONE,
    ReaderGone,
    say,
    show_json,
)
from mene.cli.judge_options import (
    JudgeOptions,
    criteria_of,
    explain_option,
    explaining_for,
    given,
    judges_of,
)
from mene.cli.opening import open_judge
from mene.cli.options import (
    settings_of,
)
from mene.cli.paths import check_input, check_output
from mene.cli.send import sent
from mene.cli.summary_shown import print_summary
from mene.cli.table import save
from mene.cli.watch import Watch
from mene.criteria_set import CriteriaSet
from mene.criterion import Criterion
from mene.errors import MeneError, UsageError
from mene.judge.any_judge import AnyJudge
from mene.judge.explaining import Explaining
from mene.judge.settings import Options
from mene.runs.beside import ledgers_beside, stem
from mene.runs.check import check_columns, check_first
from mene.runs.read_ledger import read_verdicts
from mene.runs.run import run
from mene.runs.source import STDIN
from mene.runs.summary import Summary, as_json
from mene.runs.tables import live, read_rows
from mene.runs.wide import Passed, form_of, passed, wide
from mene.verdict import Verdict

if TYPE_CHECKING:
    from mene.cli.gated import Gated
    from mene.gate.gate import Gate


def judge(options: JudgeOptions) -> int:
    """Judge every row of FILE. If it was stopped, run the same command again to continue.

    Exit code: 0 every row has a verdict, 1 some rows failed, 2 could not run, 130 stopped, 141 the reader of -o - closed it.
    With --gate or --rule: 0 passed, 3 failed, 4 undecided.
    """
    if options.plan:
        from mene.cli.judge_plan import judge_plan

        return judge_plan(options)
    if options.on is not None:
        from mene.cli.judge_on_ray import judge_on_ray

        _refuse_of_a_plan(options)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        return judge_on_ray(options)
    plan = _planned(options)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    opened = open_judge(plan.specs, plan.settings)
    for one in opened.judges:
        for criterion in plan.criteria:
            one.check_abstaining(criterion)
    watch = Watch(options, plan, opened)
    try:
        stopped, failure = _run(options, plan, opened, watch), None
    except ReaderGone:  # the reader of standard output has read enough, or has ended
        return READER_GONE
    except UsageError:
        raise
    except MeneError as error:
        stopped, failure = False, error
    finally:
        opened.close()
    if stopped or failure:
        for summary in watch.summaries.values():
            summary.stop(watch.rows)
    found = plan.gated.judged() if plan.gated and not (stopped or failure) else None
    _show_end(options, plan, opened, watch, failed=failure is not None, gate=found)
    if failure is not None:
        raise failure
    if stopped:
        _say_stopped(plan, watch.whole)
        return 130
    if plan.gated is not None and found is not None:
        return plan.gated.show(found)
    return 1 if watch.whole.errors or watch.whole.unwritten else 0


@dataclass(frozen=True)
class Plan:
    """The checked options."""

    specs: list[str]
    criteria: CriteriaSet
    columns: dict[str, str]
    settings: Options
    ledger: Path | None
    explaining: Explaining
    gated: Gated | None

    def criterion_of(self, verdict: Verdict) -> Criterion:
        """Return the criterion of a verdict of this run."""
        return next(one for one in self.criteria if one.name == verdict.criterion)


def _refuse_of_a_plan(options: JudgeOptions) -> None:
    if found := given(options, "rows", "gpu", "agreement", "prices"):
        raise UsageError(f"{found} has no effect here; use it with --plan")


def _planned(options: JudgeOptions) -> Plan:
    """Return the checked options, before a model is loaded.

    Raises:
        UsageError: an option is wrong; the message says which, and what to do.
    """
    if options.more:
        raise UsageError(
            f"{options.more[0]}: one file is judged at a time; judge several with --on ray, or one after the other"
        )
    if found := given(options, "workers", "parts", "part_rows"):
        raise UsageError(f"{found} has no effect here; use it with --on ray")
    _refuse_of_a_plan(options)
    settings = settings_of(options)
    explain = explain_option(options.explain)
    specs = judges_of(options)
    criteria = criteria_of(options, jury=len(specs) > 1)
    columns = options.columns
    check_input(options.file)
    for criterion in criteria:
        check_columns(options.file, criterion, columns)
    ledger = _ledger(options.file, options.output)
    if options.wide is not None:
        _check_wide(options.wide, options.file, ledger)
    explaining = explaining_for(
        options,
        specs,
        criteria,
        explain,
        rows=options.explain_rows,
        at_once=options.output == STDIN,
    )
    return Plan(specs, criteria, columns, settings, ledger, explaining, _gated(options, criteria))


def _gated(options: JudgeOptions, criteria: CriteriaSet) -> Gated | None:
    if options.gate is not None or options.rule:
        from mene.cli.gated import Gated  # loads statistics, which other runs do not need

        return Gated(options, list(criteria))
    if found := given(options, "stop_when_decided", "junit", "markdown"):
        raise UsageError(f"{found} goes with rules: add --gate RULES or --rule")
    return None


def _ledger(path: str, output: str | None) -> Path | None:
    """Return the file for the verdicts; None if they go to standard output."""
    if output == STDIN:
        return None
    if output is None:
        if path == STDIN:
            raise UsageError(
                "standard input has no name: name the output file with --output (- = screen)"
            )
        output = f"{stem(path)}.verdicts.jsonl"
    found = Path(output)
    check_output(found, path)
    if found.is_dir():
        raise UsageError(f"{output} is a folder; name a file in it with --output")
    if found.exists() and not found.is_file():
        raise UsageError(f"{output} is a device, not a file; use --output - for the screen")
    return found


def _check_wide(target: Path, table: str, ledger: Path | None) -> None:
    """Check the path of the table before the work begins."""
    if ledger is None:
        raise UsageError(
            "--wide reads the file of verdicts, and -o - writes none: pipe it into `mene table -`"
        )
    if str(target) == STDIN:
        raise UsageError(
            f"--wide writes a file: name one, or use `mene table {ledger}` afterwards, which writes to standard output"
        )
    form_of(str(target))
    # Compared by name: on a first run the file of verdicts does not exist yet.
    if target.absolute() == ledger.absolute():
        raise UsageError(f"{target} is the file of verdicts; give --wide another one")
    check_output(target, table, ledger, option="--wide")
    if not target.absolute().parent.is_dir():
        raise UsageError(f"{target}: there is no folder {target.parent}; make it first")


def _run(options: JudgeOptions, plan: Plan, judge: AnyJudge, watch: Watch) -> bool:
    """Judge the table. Return True if Ctrl-C stopped it."""
    path, criteria = options.file, plan.criteria
    rows = table = read_rows(path, plan.columns, criteria)
    try:
        if path == STDIN:
            rows = live(table)
            for criterion in criteria:
                rows = check_first(rows, criterion, plan.columns)
        gated = plan.gated
        with sent(options.otel, plan, watch) as (on_verdict, on_explained), watch.bar:
            if gated is not None:
                rows = gated.rows(rows, path, options.limit)
                on_verdict, on_explained = gated.hearing(on_verdict), gated.hearing(on_explained)
            run(
                judge,
                criteria,
                watch.texts.noting(rows),
                plan.ledger,
                columns=plan.columns,
                limit=options.limit,
                overwrite=options.overwrite,
                others=ledgers_beside(path, plan.ledger),
                on_verdict=on_verdict,
                on_reused=gated.add if gated else lambda verdict: None,
                explaining=plan.explaining,
                on_explained=on_explained,
                events=watch.events,
                total=watch.rows,
                summaries=watch.summaries,
            )
    except KeyboardInterrupt:
        return True
    return False


def _show_end(
    options: JudgeOptions,
    plan: Plan,
    judge: AnyJudge,
    watch: Watch,
    *,
    failed: bool,
    gate: Gate | None,
) -> None:
    """Print the summary of a run; ``failed``: the run was aborted, and its error is printed next."""
    summary, ledger = watch.whole, plan.ledger
    overall = _overall(options, plan, judge.name)
    if options.json_:
        found = as_json(watch.summaries) | ({} if overall is None else {"overall": asdict(overall)})
        rules = {} if plan.gated is None or gate is None else {"gate": plan.gated.as_json(gate)}
        summed = {**found, "output": str(ledger) if ledger else None, **rules}
        if ledger is None:  # standard output has only verdicts
            say(json.dumps(summed))
        else:
            show_json(summed)
    elif options.quiet and (summary.errors or summary.unwritten):
        _say_failed(plan, summary, watch.first)
    elif not failed or summary.judged:
        print_summary(
            watch.errors,
            [(one, watch.summaries[one.name]) for one in plan.criteria],
            judge,
            ledger,
            None if options.file == STDIN else options.file,
            reasons=plan.explaining.which,
            of=watch.total,
            overall=overall,
            wide=options.wide,
        )


def _overall(options: JudgeOptions, plan: Plan, judge: str) -> Passed | None:
    """Return the result of a set's weights and rules, and write the table of ``--wide``; both from the file of verdicts."""
    ledger, names = plan.ledger, [criterion.name for criterion in plan.criteria]
    if ledger is None or not ledger.exists() or not (options.wide or plan.criteria.rules):
        return None
    verdicts = [v for v in read_verdicts(ledger) if v.judge == judge and v.scope in names]
    if not verdicts:
        return None
    frame = wide(verdicts, plan.criteria)
    if options.wide is not None:
        save(frame, options.wide, "--wide")
    return passed(frame) if plan.criteria.rules else None


def _say_failed(plan: Plan, summary: Summary, first: str) -> None:
    ledger, what = plan.ledger, "verdicts" if len(plan.criteria) > 1 else "rows"
    failed = f"mene: {summary.errors} of {summary.rows} {what} failed"
    if summary.unkept:
        say(f"{failed}, the first with: {first}; {ledger} keeps the verdicts that it had")
        return
    if summary.errors:
        say(f"{failed}; see `error` in {ledger or 'the output'}")
    if summary.unwritten:
        say(f"mene: {summary.unwritten} critiques could not be written; run it again without -q")


def _say_stopped(plan: Plan, summary: Summary) -> None:
    ledger = plan.ledger
    goes_on = (
        f" The verdicts so far are in {ledger}; run the same command again to continue."
        if ledger
        else ""
    )
    say(
        f"mene: stopped.{goes_on if summary.done else ' The same command starts from the beginning.'}"
    )
