"""``mene judge``."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from mene.cli.console import (
    ReaderGone,
    say,
    show_json,
)
from mene.cli.opening import judge_named, open_judge, parts
from mene.cli.options import (
    CompareOption,
    CriterionOption,
    File,
    JudgeOption,
    MapOption,
    ModeOption,
    ScaleOption,
    TemplateOption,
    TokensOption,
    TruncateOption,
    columns_of,
    settings_of,
)
from mene.cli.paths import check_input, check_output
from mene.cli.shown import print_summary
from mene.cli.watch import Watch
from mene.criterion import Criterion, load_criterion
from mene.errors import MeneError, UsageError
from mene.judge.any_judge import AnyJudge
from mene.judge.explaining import NO_JURY, Explaining, explaining_of
from mene.judge.preset import Explain, load_preset
from mene.judge.settings import Options
from mene.runs.beside import ledgers_beside, stem
from mene.runs.check import check_columns, check_first
from mene.runs.run import run
from mene.runs.source import STDIN
from mene.runs.summary import Summary
from mene.runs.tables import live, read_rows

READER_GONE = 141  # what a shell says of any program whose pipe was closed (128 + SIGPIPE)


@dataclass(frozen=True, kw_only=True)
class JudgeOptions:
    """What can be asked of ``mene judge``. Fields with the name of a setting are those of the judge (``settings_of``)."""

    file: File
    criterion: CriterionOption
    more: Annotated[
        list[str] | None, typer.Argument(metavar="[FILE]...", help="More files, with --on ray.")
    ] = None
    scale: ScaleOption = None
    judge: JudgeOption = None
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            help="Verdicts as JSONL; - = standard output, in the order of the rows. [FILE.verdicts.jsonl]",
        ),
    ] = None
    mode: ModeOption = None
    template: TemplateOption = None
    map_: MapOption = None
    compare: CompareOption = None
    jury: Annotated[
        str | None,
        typer.Option(
            "--jury",
            help="Several judges in place of one, comma-separated; the mean of their probabilities.",
        ),
    ] = None
    samples: Annotated[
        int | None,
        typer.Option(
            "--samples", "-n", min=1, help="Samples per row, averaged (self-consistency). [1]"
        ),
    ] = None
    temperature: Annotated[
        float | None,
        typer.Option("--temperature", min=0.0, help="Used for writing critiques; 0 = greedy."),
    ] = None
    critique_tokens: TokensOption = None
    explain: Annotated[
        str | None,
        typer.Option(
            "--explain",
            help="Rows that get a critique after their verdict: failing, uncertain, all or none. [set by the judge: "
            "failing for base; none with --mode or -o -]",
        ),
    ] = None
    explain_rows: Annotated[
        int | None,
        typer.Option("--explain-rows", min=0, help="Explain at most N rows; 0 = all. [20]"),
    ] = None
    reconsider: Annotated[
        bool,
        typer.Option("--reconsider", help="Decide again after the critique; report both labels."),
    ] = False
    seed: Annotated[int | None, typer.Option("--seed", help="Seed of the samples. [0]")] = None
    truncate: TruncateOption = None
    abstain: Annotated[
        bool,
        typer.Option(
            "--abstain",
            help="Give no label to rows below the confidence that `mene align --error` found.",
        ),
    ] = False
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Judge the first N rows.")] = (
        None
    )
    concurrency: Annotated[
        int | None,
        typer.Option("--concurrency", min=1, help="Rows judged at once. [set by the engine]"),
    ] = None
    requests_per_minute: Annotated[
        float | None,
        typer.Option("--rpm", min=0.01, help="Requests per minute to a remote server."),
    ] = None
    show: Annotated[
        int | None, typer.Option("--show", min=0, help="Verdicts to print as they come. [30]")
    ] = None
    json_: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite", help="Judge all rows again; the first new verdict replaces the old file."
        ),
    ] = False
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No progress, no verdicts on screen.")
    ] = False
    on: Annotated[
        str | None,
        typer.Option(
            "--on",
            help="ray: on all cores or a cluster (RAY_ADDRESS); files, folders, globs, s3://, gs://, hdfs://. Writes a folder.",
        ),
    ] = None
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=1, help="With --on ray: judges at work. [as many as fit]"),
    ] = None
    part_rows: Annotated[
        int, typer.Option("--part-rows", min=1, help="With --on ray: most rows of a part.")
    ] = 500
    parts: Annotated[str, typer.Option("--parts", help="With --on ray: parquet or jsonl.")] = (
        "parquet"
    )
    plan: Annotated[
        bool,
        typer.Option(
            "--plan",
            help="Judge 50 rows (--limit N), and say what all would take; --workers machines.",
        ),
    ] = False
    rows: Annotated[
        int | None, typer.Option("--rows", min=1, help="With --plan: rows. [those of FILE]")
    ] = None
    gpu: Annotated[
        str | None, typer.Option("--gpu", help="With --plan: h100, h200, a100, l4, rtx4090. [all]")
    ] = None
    agreement: Annotated[
        float | None,
        typer.Option("--agreement", min=0, max=1, help="With --plan: wanted with people, 0 to 1."),
    ] = None
    prices: Annotated[
        Path | None, typer.Option("--prices", help="With --plan: a copy of library/plan.yaml.")
    ] = None


def judge(options: JudgeOptions) -> int:
    """Judge every row of FILE. If it was stopped, run the same command again to continue.

    Exit code: 0 every row has a verdict, 1 some rows failed, 2 could not run, 130 stopped, 141 the reader of -o - closed it.
    """
    if options.plan:
        from mene.cli.judge_plan import judge_plan

        return judge_plan(options)
    if options.on is not None:
        from mene.cli.judge_on_ray import judge_on_ray

        signal.signal(signal.SIGTERM, signal.default_int_handler)
        return judge_on_ray(options)
    plan = _planned(options)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    opened = open_judge(plan.specs, plan.settings)
    for one in opened.judges:
        one.check_abstaining(plan.criterion)
    watch = Watch(options, plan, opened)
    try:
        stopped, failure = _run(options, plan, opened, watch), None
    except ReaderGone:  # who asked for verdicts on standard output has heard enough, or has died
        return READER_GONE
    except UsageError:
        raise
    except MeneError as error:
        stopped, failure = False, error
    finally:
        opened.close()
    if stopped or failure:
        watch.summary.stop(watch.rows)
    _show_end(options, plan, opened, watch, failed=failure is not None)
    if failure is not None:
        raise failure
    if stopped:
        _say_stopped(plan, watch.summary)
        return 130
    return 1 if watch.summary.errors or watch.summary.unwritten else 0


@dataclass(frozen=True)
class Plan:
    """What the options come to, once it is known that they make sense."""

    specs: list[str]
    criterion: Criterion
    columns: dict[str, str]
    settings: Options
    ledger: Path | None
    explaining: Explaining


def _planned(options: JudgeOptions) -> Plan:
    """Refuse what cannot be, before a model is loaded.

    Raises:
        UsageError: says which option, and what to do.
    """
    if options.more:
        raise UsageError(
            f"{options.more[0]}: one file is judged at a time; judge several with --on ray, or one after the other"
        )
    for name in ("workers", "rows", "gpu", "agreement", "prices"):
        if getattr(options, name) is not None:
            raise UsageError(
                f"--{name} says nothing here: it goes with {'--on ray' if name == 'workers' else '--plan'}"
            )
    settings = settings_of(options)
    explain = explain_option(options.explain)
    if options.jury and options.judge:
        raise UsageError("--judge names one judge and --jury several: give one of the two options")
    specs = parts(options.jury) if options.jury else [judge_named(options.judge)]
    criterion = load_criterion(options.criterion, options.scale)
    if options.compare and criterion.scale.kind != "pairwise":
        raise UsageError(
            f"--compare is for pairs; {criterion.name} has the scale {criterion.scale}"
        )
    columns = columns_of(options.map_)
    check_input(options.file)
    check_columns(options.file, criterion, columns)
    ledger = _ledger(options.file, options.output)
    jury = len(specs) > 1
    if options.abstain and (jury or options.reconsider):
        what = "a jury" if jury else "labels that --reconsider may change"
        raise UsageError(
            f"--abstain: `mene align --error` tested the first labels of one judge, not {what}; leave one of the two options out"
        )
    if jury and (options.reconsider or explain not in (None, "none")):
        raise UsageError(NO_JURY)
    first = load_preset(specs[0])
    explaining = explaining_of(
        first,
        criterion,
        which="none" if jury else explain,
        rows=options.explain_rows,
        reconsider=options.reconsider,
        mode=settings.get("mode"),
        samples=options.samples or first.samples,
        tokens=options.critique_tokens,
        at_once=options.output == STDIN,
    )
    return Plan(specs, criterion, columns, settings, ledger, explaining)


def explain_option(given: str | None) -> Explain | None:
    """What ``--explain`` says.

    Raises:
        UsageError: none of the four.
    """
    match given:
        case None | "failing" | "uncertain" | "all" | "none" as which:
            return which
        case other:
            raise UsageError(f"--explain {other}: it is failing, uncertain, all or none")


def _ledger(path: str, output: str | None) -> Path | None:
    """The file for the verdicts; None where they go to standard output."""
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


def _run(options: JudgeOptions, plan: Plan, judge: AnyJudge, watch: Watch) -> bool:
    """Judge the table; True where Ctrl-C stopped it."""
    path, criterion = options.file, plan.criterion
    table = read_rows(path, plan.columns, criterion)
    try:
        rows = check_first(live(table), criterion, plan.columns) if path == STDIN else table
        with watch.bar:
            run(
                judge,
                criterion,
                watch.texts.noting(rows),
                plan.ledger,
                columns=plan.columns,
                limit=options.limit,
                overwrite=options.overwrite,
                others=ledgers_beside(path, plan.ledger),
                on_verdict=watch.on_verdict,
                explaining=plan.explaining,
                on_explained=watch.on_explained,
                events=watch.events,
                total=watch.rows,
                summary=watch.summary,
            )
    except KeyboardInterrupt:
        return True
    return False


def _show_end(
    options: JudgeOptions, plan: Plan, judge: AnyJudge, watch: Watch, *, failed: bool
) -> None:
    """The sums of a run; ``failed``: it did not come to its end, and an error is said after this."""
    summary, ledger = watch.summary, plan.ledger
    if options.json_:
        show_json({**summary.to_dict(), "output": str(ledger) if ledger else None})
    elif options.quiet and (summary.errors or summary.unwritten):
        _say_failed(summary, ledger, watch.first)
    elif not failed or summary.judged:
        print_summary(
            watch.errors,
            summary,
            plan.criterion,
            judge,
            ledger,
            None if options.file == STDIN else options.file,
            reasons=plan.explaining.which,
            of=watch.total,
        )


def _say_failed(summary: Summary, ledger: Path | None, first: str) -> None:
    failed = f"mene: {summary.errors} of {summary.rows} rows failed"
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
