"""``mene align`` on a terminal: judge the labelled rows, show agreement, save what was learned."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TimeRemainingColumn
from rich.table import Table

from mene.bench.align.align import LEAST_ROWS, Alignment, Held, align
from mene.bench.align.wanted import Reached, Wanted, check_rows, reach
from mene.bench.run import slug
from mene.cli.bench import check_names as check_judges
from mene.cli.bench import console_of, figure_text
from mene.cli.console import Screen, note, plain, progress_bar, say, show_json, words
from mene.cli.judging import check_input, check_output, check_own, open_one
from mene.cli.long_row import reading_said
from mene.cli.shown import so_many_rows, taken_words
from mene.cli.wanted import wanted_json, wanted_lines
from mene.criterion import Criterion
from mene.errors import UsageError
from mene.files import write_whole
from mene.judge.calibration import Calibration
from mene.judge.combine import SAME_TEXT
from mene.judge.judge import Judge
from mene.judge.preset import Preset, load_preset, portable
from mene.judge.settings import Options
from mene.runs.beside import ledgers_beside
from mene.runs.run import run
from mene.runs.tables import Row, read_rows
from mene.stats.columns import gold_codes
from mene.stats.golds import brief, check_names, example, named, read_names
from mene.stats.shared import shared
from mene.template import template_names
from mene.text.visible import visible
from mene.verdict import Verdict

OWN = "# Written by `mene align`"  # the first words of a file that may be written anew
TOO_FEW = f"{LEAST_ROWS} are the least to learn from, 50 to 500 are better"
SHOWN = 10  # rows that are left out, each with its reason


def align_on_screen(
    path: str,
    criterion: Criterion,
    judges: list[str],
    output: Path | None,
    *,
    names: dict[str, str],
    options: Options,
    as_json: bool,
    quiet: bool,
    labels: str | None = None,
    wanted: Wanted | None = None,
) -> int:
    """``mene align``. Returns the exit code: 1 where rows were left out, or what is wanted cannot be promised."""
    check_input(path)
    check_judges(judges)
    called = read_names(labels)
    check_names(called, criterion.scale.labels)
    errors = Screen(stderr=True)
    if output and len(judges) > 1:
        raise UsageError("--output names one preset, and there are several judges; leave it out")
    if output and not output.parent.is_dir():
        raise UsageError(f"{output}: there is no folder {output.parent}; make it first")
    if output:
        check_output(output, path)
    targets = {spec: output or _target(spec, criterion) for spec in judges}
    for target in targets.values():
        check_own(target, OWN, "a judge that `mene align` wrote")
    read = list(read_rows(path, names, criterion))
    golds, wrong = _golds(read, criterion, path, called)
    for text in wrong[:SHOWN]:
        note(errors, text)
    if len(wrong) > SHOWN:
        more = len(wrong) - SHOWN
        errors.print(f"… and {so_many_rows(more)} more left out", style="yellow")
    if len(golds) < LEAST_ROWS:
        raise UsageError(
            f"{path}: {so_many_rows(len(golds))} with a label on the scale {criterion.scale}; {TOO_FEW}"
        )
    rows = [row for row in read if row.number in golds]
    if wanted:
        texts = [(golds[row.number], row.sample) for row in rows if row.sample is not None]
        check_rows(wanted, [g for g, _ in texts], [shared(s) for _, s in texts], path)
    said: dict[str, Any] = {}
    missed = False
    for spec in judges:
        opened = open_one(spec, options)
        shipped = opened.preset.calibrations
        with opened.using(calibrations=(), abstain=False) as judge:
            ledger = Path(
                f"{path.removesuffix('.gz').removesuffix('.jsonl')}.{slug(judge.name)}.aligned.jsonl"
            )
            try:
                verdicts = _judged(
                    judge, criterion, rows, ledger, errors, quiet, ledgers_beside(path, ledger)
                )
            except KeyboardInterrupt:
                if not ledger.exists():
                    raise
                say(
                    f"mene: stopped. The verdicts so far are in {ledger}; the same command goes on."
                )
                return 130
        known = [
            (row.sample, golds[row.number], v)
            for row, v in ((row, verdicts.get(row.number)) for row in rows)
            if row.sample is not None and v is not None and v.probabilities is not None
        ]
        lost = len(rows) - len(known)
        chosen = [(s, g, v) for s, g, v in known if v.label == "tie" or SAME_TEXT not in v.notes]
        if even := len(known) - len(chosen):
            errors.print(
                f"{even} pair{'s' * (even != 1)} left out: both responses are the same text, so that there is nothing to choose",
                style="yellow",
            )
        known = chosen
        if len(known) < LEAST_ROWS:
            why = f" ({so_many_rows(lost)} without: see {ledger})" if lost else ""
            raise UsageError(
                f"{path}: {so_many_rows(len(known))} with a label and probabilities of {judge.name}{why}; {TOO_FEW}"
            )
        gold = [g for _, g, _ in known]
        probabilities = [v.probabilities or {} for _, _, v in known]
        groups = [shared(s) for s, _, _ in known]
        template = judge.template.identity
        found = align(criterion, judge.mode, gold, probabilities, groups, template=template)
        reached = None
        if wanted is not None:
            reached = reach(
                wanted,
                criterion,
                judge.mode,
                gold,
                probabilities,
                groups,
                found.chosen,
                template=template,
                compare=judge.compare,
            )
            missed = missed or reached.calibration is None
        learned = (reached and reached.calibration) or found.chosen
        target = None
        if learned is not None:
            target = targets[spec]
            if criterion.scale.kind == "pairwise":
                learned = learned.model_copy(update={"compare": judge.compare})
            saved = replace(found, chosen=learned)
            save(judge.preset, saved, target, shipped)
        said[judge.name] = _as_json(found, lost, target)
        if wanted is not None and reached is not None:
            said[judge.name]["wanted"] = wanted_json(wanted, reached)
        if not as_json:
            got = (wanted, reached) if wanted and reached else None
            _show(console_of(), judge.name, criterion, found, lost, target, ledger, got)
    if as_json:
        show_json(said)
    return int(bool(wrong) or missed or any(one["without_verdict"] for one in said.values()))


def _target(spec: str, criterion: Criterion) -> Path:
    said_so = criterion.question[:50] if criterion.in_words else criterion.name
    return Path(f"{slug(load_preset(spec).name)}-{slug(said_so)}.yaml")


def _golds(
    rows: list[Row], criterion: Criterion, path: str, called: Mapping[str, str]
) -> tuple[dict[int, str], list[str]]:
    """Place in the table -> gold label on the scale, and what is wrong with rows that are left out.

    Raises:
        UsageError: no row has a label, or all have the same one.
    """
    scale = criterion.scale
    wrong = [f"{row.where}: {row.error}" for row in rows if row.error]
    labelled = [(r, r.sample) for r in rows if r.sample is not None and r.sample.label is not None]
    if not labelled:
        raise UsageError(
            f'{path}: no row has a "label"; say which column it is with --map label=COLUMN'
        )
    codes, _ = gold_codes([named(sample.label, called) for _, sample in labelled], scale)
    found: dict[int, str] = {}
    strange: dict[str, list[Row]] = {}
    for (row, sample), code in zip(labelled, codes.tolist(), strict=True):
        if code >= 0:
            found[row.number] = scale.labels[code]
        else:
            strange.setdefault(str(sample.label), []).append(row)
    if strange:
        wrong.insert(0, _off_scale(strange, criterion))
    if len(found) >= LEAST_ROWS and len(set(found.values())) == 1:
        raise UsageError(
            f'{path}: all {len(found)} labels are "{next(iter(found.values()))}", from which a '
            "calibration would learn to say nothing else; add rows with other labels"
        )
    return found, wrong


def _off_scale(strange: dict[str, list[Row]], criterion: Criterion) -> str:
    """One line about all labels that are not on the scale: where they are, and the one option that names them all."""
    scale = criterion.scale
    each = [f'"{brief(label)}" ({rows[0].where})' for label, rows in strange.items()]
    more = f" and {len(each) - SHOWN} others" if len(each) > SHOWN else ""
    count = sum(map(len, strange.values()))
    return (
        f"{count} row{'s' * (count != 1)} left out: {', '.join(each[:SHOWN])}{more} "
        f"{'is' if len(each) == 1 else 'are'} not on the "
        f"scale {scale} of {criterion.name}; mend the labels, choose the scale with --scale, or say what they are called, like "
        f"{example(strange, scale.labels)} (see which means which)"
    )


def _judged(
    judge: Judge,
    criterion: Criterion,
    rows: list[Row],
    ledger: Path,
    errors: Console,
    quiet: bool,
    others: Iterable[Path] = (),
) -> dict[int, Verdict]:
    """Place in the table -> verdict; ids may repeat."""
    verdicts: dict[int, Verdict] = {}
    bar = progress_bar(
        words(),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=errors,
        hidden=quiet,
        stuck=lambda: reading_said([judge.engine]),
    )
    with bar:
        task = bar.add_task(visible(judge.name), total=len(rows))

        def take(verdict: Verdict) -> None:
            assert verdict.row is not None
            verdicts[verdict.row - 1] = verdict
            bar.update(task, advance=1)

        summary = run(
            judge,
            criterion,
            rows,
            ledger,
            others=others,
            on_verdict=take,
            on_reused=take,
        )
    for whose, count in summary.taken.items() if not quiet else ():
        errors.print(f"{len(rows):,} verdicts, {taken_words(count, *whose)}", soft_wrap=True)
    return verdicts


def save(
    preset: Preset,
    found: Alignment,
    target: Path,
    others: Iterable[Calibration] = (),
) -> None:
    """Write a judge's preset, with which it was asked, and the calibration that was learned so.

    Args:
        others: calibrations that the judge has for other questions; they stay.
    """
    chosen = found.chosen
    assert chosen is not None

    def of(c: Calibration) -> tuple[Any, ...]:
        return c.criterion, c.question, c.labels, c.mode, c.template, c.compare

    calibrations = [chosen, *(c for c in others if of(c) != of(chosen))]
    data = preset.model_dump(mode="json", exclude_defaults=True)
    if preset.adapter:
        data["adapter"] = portable(preset.adapter)
    data |= {"name": target.stem, "mode": preset.mode, "compare": preset.compare}
    data["calibrations"] = [c.model_dump(mode="json", exclude_defaults=True) for c in calibrations]
    name = preset.template.strip().casefold()  # of the library, as `find` reads it
    data["template"] = name if name in template_names() else str(Path(preset.template).resolve())
    text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
    write_whole(target, f"{OWN}; use it with --judge {target}\n{text}")


def _as_json(found: Alignment, lost: int, target: Path | None) -> dict[str, Any]:
    def one(held: Held) -> dict[str, Any]:
        a = held.agreement
        return {
            "log_loss": held.log_loss,
            "accuracy": [a.accuracy.value, a.accuracy.low, a.accuracy.high],
            "kappa": [a.kappa.value, a.kappa.low, a.kappa.high],
            "ece": [a.ece.value, a.ece.low, a.ece.high],
        }

    return {
        "rows": found.before.agreement.n,
        "without_verdict": lost,
        "as_it_is": one(found.before),
        "held_out": {held.name: one(held) for held in found.held},
        "chosen": None if found.chosen is None else found.chosen.method,
        "preset": None if target is None else str(target),
        "labels_to_halve_the_interval": found.more,
    }


def _show(
    console: Console,
    judge: str,
    criterion: Criterion,
    found: Alignment,
    lost: int,
    target: Path | None,
    ledger: Path,
    got: tuple[Wanted, Reached] | None = None,
) -> None:
    n = found.before.agreement.n
    table = Table(box=None, pad_edge=False)  # 80 characters, as it is
    table.title = f"{plain(judge)} on {plain(criterion.name)}: {n} labels"
    table.title_justify = "left"
    for name in ("", "accuracy", "kappa", "ECE", "log loss"):
        table.add_column(name, no_wrap=True, overflow="fold")
    for held in (found.before, *found.held):
        a = held.agreement
        table.add_row(
            held.name,
            figure_text(a.accuracy, False),
            figure_text(a.kappa, True),
            figure_text(a.ece, True),
            f"{held.log_loss:.3f}",
        )
    console.print(table)
    chosen = f"; chosen: {found.chosen.method}" if found.chosen else ""
    console.print(f"Calibrations are measured on rows they did not learn from{chosen}.")
    for base in found.before.agreement.baselines:
        console.print(f"{base.name}: accuracy {100 * base.accuracy:.1f} %")
    if lost:
        console.print(
            f"[red]{lost} labelled row{'s have' if lost > 1 else ' has'} no verdict with probabilities[/red]"
        )
    console.print(f"{found.more} labels more would halve these intervals.")
    for line in wanted_lines(*got) if got else ():
        console.print(plain(line), soft_wrap=True)
    console.print(f"verdicts {plain(ledger)}", soft_wrap=True)
    if target is None:
        console.print(
            "No calibration is surely better than leaving the judge as it is; none is saved."
        )
    else:
        part = " (the calibration alone)" if got and got[1].calibration is None else ""
        console.print(f"saved    {plain(target)}{part}", soft_wrap=True)
        asked = criterion.name
        if criterion.in_words:
            asked = f"{shlex.quote(criterion.question)} --scale {shlex.quote(str(criterion.scale))}"
        learned = got and got[1].calibration
        alone = learned.alone if learned else None
        abstain = " --abstain" if alone else ""
        console.print(
            f"next     mene judge FILE -c {plain(asked)} --judge {plain(target)}{abstain}",
            soft_wrap=True,
        )
