"""``mene align``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from mene.bench.align.align import LEAST_ROWS
from mene.bench.align.align import align as alignment_of
from mene.bench.align.labels import golds_of
from mene.bench.align.reached import reach
from mene.bench.align.save import OWN, save
from mene.bench.align.wanted import Wanted, check_rows, wanted_of
from mene.bench.run import slug
from mene.cli.aligned import Aligned, aligned_json, show_aligned
from mene.cli.bench_tables import console_of
from mene.cli.console import Screen, note, say, show_json
from mene.cli.measuring import check_names as check_judges
from mene.cli.measuring import judged
from mene.cli.opening import judges_named, open_one
from mene.cli.options import (
    CriterionOption,
    FiguresAsJsonOption,
    JudgesOption,
    LabelsOption,
    QuietOption,
    RowsOptions,
    settings_of,
)
from mene.cli.paths import check_input, check_output, check_own
from mene.cli.summary_shown import so_many_rows
from mene.criterion import Criterion, load_criterion
from mene.errors import UsageError
from mene.judge.calibration import Calibration
from mene.judge.combine import SAME_TEXT
from mene.judge.judge import Judge
from mene.judge.preset import load_preset
from mene.runs.beside import ledgers_beside, stem
from mene.runs.source import STDIN
from mene.runs.tables import Row, read_rows
from mene.stats.golds import check_names, read_names
from mene.stats.shared import shared
from mene.verdict import Verdict

TOO_FEW = f"at least {LEAST_ROWS} are needed, 50 to 500 are better"
SHOWN = 10  # number of left-out rows that are shown with their reasons


@dataclass(frozen=True, kw_only=True)
class AlignOptions(RowsOptions):
    """Options of ``mene align``. A field with the name of a setting of the judge sets it (``settings_of``)."""

    criterion: CriterionOption
    judge: JudgesOption = None
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The calibrated judge. [JUDGE-CRITERION.yaml]"),
    ] = None
    labels: LabelsOption = None
    precision: Annotated[
        float | None,
        typer.Option(
            "--precision", help="Find the threshold at which a label has this precision, e.g. 0.9."
        ),
    ] = None
    recall: Annotated[
        float | None,
        typer.Option("--recall", help="Find the threshold at which a label has this recall."),
    ] = None
    for_: Annotated[
        str | None,
        typer.Option(
            "--for", help="The label that --precision or --recall is about. [the first of two]"
        ),
    ] = None
    error: Annotated[
        float | None,
        typer.Option(
            "--error",
            help="Find how confident the judge must be to decide alone with at most this share of wrong labels, e.g. 0.05.",
        ),
    ] = None
    confidence: Annotated[
        float | None,
        typer.Option("--confidence", help="Confidence level of that guarantee. [0.9]"),
    ] = None
    json_: FiguresAsJsonOption = False
    quiet: QuietOption = False


def align(options: AlignOptions) -> int:
    """Measure judges on your own labels, and calibrate.

    FILE needs at least 20 rows with a `label`; 50 to 500 are better. --precision and --recall set the threshold of one
    label in the saved judge. --error sets the confidence from which the judge may decide without a person
    (`mene judge --abstain`).

    Exit code: 0 success, 1 rows were left out or the requested guarantee is out of reach, 2 could not run, 130 stopped.
    """
    settings = settings_of(options)
    criterion = load_criterion(options.criterion, options.scale)
    wanted = wanted_of(
        criterion,
        precision=options.precision,
        recall=options.recall,
        label=options.for_,
        error=options.error,
        confidence=options.confidence,
    )
    judges = judges_named(options.judge)
    targets = _targets(options, criterion, judges)
    errors = Screen(stderr=True)
    table = _labelled(options, criterion, errors)
    if wanted:
        texts = [(table.golds[row.number], row.sample) for row in table.rows if row.sample]
        check_rows(wanted, [g for g, _ in texts], [shared(s) for _, s in texts], options.file)
    done: list[Aligned] = []
    for spec in judges:
        opened = open_one(spec, settings)
        shipped = opened.preset.calibrations
        judge = opened.using(calibrations=(), abstain=False)
        ledger = _ledger(options.file, judge)
        try:
            with judge:
                others = ledgers_beside(options.file, ledger)
                verdicts = judged(
                    judge,
                    criterion,
                    table.rows,
                    ledger,
                    errors,
                    quiet=options.quiet,
                    others=others,
                )
        except KeyboardInterrupt:
            if not ledger.exists():
                raise
            say(
                f"mene: stopped. The verdicts so far are in {ledger}; run the same command again to continue."
            )
            return 130
        evidence = _evidence(table, verdicts, errors)
        evidence.check(options.file, judge, ledger)
        one = _learned(judge, criterion, evidence, wanted, ledger)
        one = _saved(one, judge, criterion, targets[spec], shipped)
        done.append(one)
        if not options.json_:
            show_aligned(console_of(), criterion, one)
    if options.json_:
        show_json({one.judge: aligned_json(one) for one in done})
    return int(bool(table.wrong) or any(one.missed or one.lost for one in done))


@dataclass(frozen=True)
class _Labelled:
    """The rows with a label on the scale, by position in the table, and the errors of the others."""

    rows: list[Row]
    golds: dict[int, str]
    wrong: list[str]


@dataclass(frozen=True)
class _Evidence:
    """A judge's probabilities for rows, and the human labels. ``lost``: number of rows without probabilities."""

    golds: list[str]
    probabilities: list[dict[str, float]]
    groups: list[tuple[str, ...]]
    lost: int

    def check(self, path: str, judge: Judge, ledger: Path) -> None:
        """Check that there are enough rows to learn from.

        Raises:
            UsageError: there are too few rows.
        """
        if len(self.golds) >= LEAST_ROWS:
            return
        why = f" ({so_many_rows(self.lost)} without: see {ledger})" if self.lost else ""
        raise UsageError(
            f"{path}: {so_many_rows(len(self.golds))} with a label and probabilities of {judge.name}{why}; {TOO_FEW}"
        )


def _targets(options: AlignOptions, criterion: Criterion, judges: list[str]) -> dict[str, Path]:
    """Return the path where each judge is saved; invalid ones are refused before the work begins."""
    check_input(options.file)
    check_judges(judges)
    check_names(read_names(options.labels), criterion.scale.labels)
    output = options.output
    if output and len(judges) > 1:
        raise UsageError("--output names one file, but several judges are aligned; leave it out")
    if output and not output.parent.is_dir():
        raise UsageError(f"{output}: there is no folder {output.parent}; make it first")
    if output:
        check_output(output, options.file)
    targets = {
        spec: output or Path(f"{slug(load_preset(spec).name)}-{slug(criterion.name)}.yaml")
        for spec in judges
    }
    for target in targets.values():
        check_own(target, OWN, "a judge that `mene align` wrote")
    return targets


def _labelled(options: AlignOptions, criterion: Criterion, errors: Console) -> _Labelled:
    """Return the labelled rows of the table; prints which rows are left out."""
    path = options.file
    read = list(read_rows(path, options.columns, criterion))
    golds, wrong = golds_of(read, criterion, path, read_names(options.labels))
    for text in wrong[:SHOWN]:
        note(errors, text)
    if len(wrong) > SHOWN:
        more = len(wrong) - SHOWN
        errors.print(f"… and {so_many_rows(more)} more left out", style="yellow")
    if len(golds) < LEAST_ROWS:
        raise UsageError(
            f"{path}: {so_many_rows(len(golds))} with a label on the scale {criterion.scale}; {TOO_FEW}"
        )
    return _Labelled([row for row in read if row.number in golds], golds, wrong)


def _ledger(path: str, judge: Judge) -> Path:
    table = "stdin" if path == STDIN else stem(path)
    return Path(f"{table}.{slug(judge.name)}.aligned.jsonl")


def _evidence(table: _Labelled, verdicts: dict[int, Verdict], errors: Console) -> _Evidence:
    """Return the rows to learn from: those with a real choice, and with probabilities."""
    found: list[tuple[str, dict[str, float], tuple[str, ...]]] = []
    lost = even = 0
    for row in table.rows:
        verdict = verdicts.get(row.number)
        if row.sample is None or verdict is None or verdict.probabilities is None:
            lost += 1
        elif verdict.label != "tie" and SAME_TEXT in verdict.notes:
            even += 1
        else:
            found.append((table.golds[row.number], verdict.probabilities, shared(row.sample)))
    if even:
        errors.print(
            f"{even} pair{'s' * (even != 1)} left out: both responses are the same text",
            style="yellow",
        )
    golds, probabilities, groups = zip(*found, strict=True) if found else ((), (), ())
    return _Evidence(list(golds), list(probabilities), list(groups), lost)


def _learned(
    judge: Judge, criterion: Criterion, evidence: _Evidence, wanted: Wanted | None, ledger: Path
) -> Aligned:
    """Return what the judge learns from the labels, and whether it then reaches the requested guarantee."""
    seen = evidence.golds, evidence.probabilities, evidence.groups
    template = judge.template.identity
    found = alignment_of(criterion, judge.mode, *seen, template=template)
    reached = None
    if wanted is not None:
        reached = reach(
            wanted,
            criterion,
            judge.mode,
            *seen,
            found.chosen,
            template=template,
            compare=judge.compare,
        )
    return Aligned(judge.name, found, evidence.lost, ledger, wanted, reached)


def _saved(
    one: Aligned, judge: Judge, criterion: Criterion, target: Path, shipped: Iterable[Calibration]
) -> Aligned:
    """Write the judge with its new and its earlier calibrations; nothing if it learned nothing."""
    if (learned := one.learned) is None:
        return one
    if criterion.scale.kind == "pairwise":
        learned = learned.model_copy(update={"compare": judge.compare})
    save(judge.preset, replace(one.found, chosen=learned), target, shipped)
    return replace(one, target=target)
