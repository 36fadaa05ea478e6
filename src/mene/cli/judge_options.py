"""Options of ``mene judge``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from mene.cli.gate_options import JunitOption, MarkdownOption, RuleOption
from mene.cli.opening import judge_named, parts
from mene.cli.options import (
    ConcurrencyOption,
    CriteriaOption,
    RowsOptions,
    RpmOption,
    settings_of,
)
from mene.criteria_set import CriteriaSet, load_criteria
from mene.criterion import Criterion
from mene.errors import UsageError
from mene.judge.claims import check_claims
from mene.judge.explaining import NO_JURY, Explaining, explaining_of
from mene.judge.preset import Explain, load_preset


@dataclass(frozen=True, kw_only=True)
class JudgeOptions(RowsOptions):
    """Options of ``mene judge``. A field with the name of a setting of the judge sets it (``settings_of``)."""

    criterion: CriteriaOption
    uses: Annotated[
        str | None,
        typer.Option(
            "--uses",
            help="Fields that a question in words shows beside the response, as in instruction,reference; none for the "
            "response alone. [all: instruction,context,reference]",
            show_default=False,
        ),
    ] = None
    more: Annotated[
        list[str] | None, typer.Argument(metavar="[FILE]...", help="More files, with --on ray.")
    ] = None
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            help="Verdicts as JSONL; - = standard output, in the order of the rows. [FILE.verdicts.jsonl]",
        ),
    ] = None
    wide: Annotated[
        Path | None,
        typer.Option(
            "--wide",
            help="Also write a table with a row per sample: .csv, .parquet or .jsonl (as `mene table` does).",
        ),
    ] = None
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
    claims: Annotated[
        bool,
        typer.Option(
            "--claims",
            help="Judge each sentence of the response alone; one that fails fails the row.",
        ),
    ] = False
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
    concurrency: ConcurrencyOption = None
    requests_per_minute: RpmOption = None
    gate: Annotated[
        Path | None,
        typer.Option("--gate", help="Pass or fail the run by the rules in this file (mene gate)."),
    ] = None
    rule: RuleOption = None
    stop_when_decided: Annotated[
        bool,
        typer.Option(
            "--stop-when-decided",
            help="Judge rows in random order, and stop as soon as the rules are decided.",
        ),
    ] = False
    junit: JunitOption = None
    markdown: MarkdownOption = None
    show: Annotated[
        int | None, typer.Option("--show", min=0, help="Verdicts to print as they come. [30]")
    ] = None
    json_: Annotated[
        bool, typer.Option("--json", help="Print the summary as JSON; with -o - to standard error.")
    ] = False
    otel: Annotated[
        str | None,
        typer.Option(
            "--otel",
            help="Send verdicts to an OpenTelemetry collector, e.g. http://localhost:4318.",
        ),
    ] = None
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="Judge all rows again; the first new verdict replaces the old ones by these criteria.",
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
        int | None,
        typer.Option("--part-rows", min=1, help="With --on ray: most rows of a part. [500]"),
    ] = None
    parts: Annotated[
        str | None, typer.Option("--parts", help="With --on ray: parquet or jsonl. [parquet]")
    ] = None
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


def explain_option(given: str | None) -> Explain | None:
    """Return the value of ``--explain``.

    Raises:
        UsageError: it is none of the four.
    """
    match given:
        case None | "failing" | "uncertain" | "all" | "none" as which:
            return which
        case other:
            raise UsageError(f"--explain {other}: it is failing, uncertain, all or none")


def judges_of(options: JudgeOptions) -> list[str]:
    """Return the name of the judge, or the names of a jury.

    Raises:
        UsageError: both are given.
    """
    if options.jury and options.judge:
        raise UsageError("--judge names one judge and --jury several: give one of the two options")
    return parts(options.jury) if options.jury else [judge_named(options.judge)]


def criteria_of(options: JudgeOptions, *, jury: bool) -> CriteriaSet:
    """Return the criteria, checked against the other options.

    Raises:
        UsageError: a criterion is wrong, or does not go with --compare, --claims or --abstain.
    """
    uses = None
    if options.uses is not None:
        uses = [] if options.uses == "none" else parts(options.uses)
    criteria = load_criteria(options.criterion, options.scale, uses)
    check_compare(options, criteria)
    check_together(options, criteria, jury=jury)
    return criteria


def explaining_for(
    options: JudgeOptions,
    specs: list[str],
    criteria: CriteriaSet,
    which: Explain | None,
    *,
    rows: int | None,
    at_once: bool,
) -> Explaining:
    """Return which rows get a critique.

    Args:
        specs: the judge, or the jurors.
        which: see ``explain_option``; None: the default of the mode.
        rows, at_once: see ``explaining_of``.

    Raises:
        UsageError: a jury is to give reasons.
    """
    jury = len(specs) > 1
    if jury and (options.reconsider or which not in (None, "none")):
        raise UsageError(NO_JURY)
    first = load_preset(specs[0])
    return explaining_of(
        first,
        criteria.criteria,
        which="none" if jury else which,
        rows=rows,
        reconsider=options.reconsider,
        mode=settings_of(options).get("mode"),
        samples=options.samples or first.samples,
        tokens=options.critique_tokens,
        at_once=at_once,
    )


def check_compare(options: JudgeOptions, criteria: Iterable[Criterion]) -> None:
    """Check that a criterion compares pairs if --compare is given.

    Raises:
        UsageError: no criterion compares two responses.
    """
    asked = list(criteria)
    if options.compare and all(one.scale.kind != "pairwise" for one in asked):
        said = ", ".join(f"{one.name} has the scale {one.scale}" for one in asked)
        raise UsageError(f"--compare is for pairs; {said}")


def check_together(options: JudgeOptions, criteria: Iterable[Criterion], *, jury: bool) -> None:
    """Check that --claims and --abstain are compatible with the other options.

    Raises:
        UsageError: one is not.
    """
    if options.claims:
        for criterion in criteria:
            check_claims(criterion)
        if options.reconsider:
            raise UsageError(
                "--reconsider decides on whole responses, not on claims; leave one of the two options out"
            )
    if options.abstain and (jury or options.reconsider):
        what = "a jury" if jury else "labels that --reconsider may change"
        raise UsageError(
            f"--abstain: `mene align --error` tested the first labels of one judge, not {what}; leave one of the two options out"
        )


def given(options: JudgeOptions, *names: str) -> str | None:
    """Return the first of these options that is given, as a user writes it."""
    for name in names:
        value = getattr(options, name)
        if value is not None and value is not False and value != []:
            return f"--{name.replace('_', '-')}"
    return None


def refuse_rest(options: JudgeOptions, what: str, instead: str) -> None:
    """Check that no option is given that would have no effect.

    Args:
        what: the option that makes others ineffective.
        instead: what to do.

    Raises:
        UsageError: one is.
    """
    names = ("gate", "rule", "stop_when_decided", "junit", "markdown", "wide", "otel")
    if found := given(options, *names):
        raise UsageError(f"{found} does not go with {what}; {instead}")
