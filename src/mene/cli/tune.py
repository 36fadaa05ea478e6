"""``mene tune``."""

from __future__ import annotations

import gc
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console

from mene.bench.align.save import as_data
from mene.bench.align.tuned import Tuned, tuned
from mene.bench.run import slug
from mene.cli.console import Screen, note, say, show_json
from mene.cli.measuring import judged
from mene.cli.opening import downloading, judge_named, open_one
from mene.cli.options import (
    CriterionOption,
    FiguresAsJsonOption,
    JudgeOption,
    LabelsOption,
    MapOption,
    QuietOption,
    ScaleOption,
    columns_of,
)
from mene.cli.paths import check_input
from mene.cli.train_shown import train_shown
from mene.cli.training import check_device, need_packages, need_room
from mene.cli.tune_begun import begin, check_start
from mene.cli.tune_rows import divided
from mene.cli.tuned_shown import show_tuned, tuned_json, tuned_markdown
from mene.criterion import Criterion, load_criterion
from mene.curate.pair import read_pairs
from mene.curate.raw.sources import Point
from mene.errors import UsageError
from mene.files import write_whole
from mene.judge.preset import Preset, load_preset
from mene.library.load import TEMPLATES, built_in
from mene.recipe import Own, Recipe
from mene.runs.source import STDIN
from mene.runs.tables import Row
from mene.train.plan.tokens import estimate_tokens
from mene.train.tuning import check_tunable, dtype_on, tuned_preset, tuning
from mene.verdict import Verdict

HELD_OUT, EPOCHS, LONGEST = 0.3, 3, 6000
CARD = "## On rows held out"


@dataclass(frozen=True, kw_only=True)
class TuneOptions:
    """Options of ``mene tune``."""

    file: Annotated[
        str, typer.Argument(metavar="FILE", help="JSONL, JSON, CSV, TSV or Parquet, with labels.")
    ]
    criterion: CriterionOption
    scale: ScaleOption = None
    judge: JudgeOption = None
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder of the new judge. [JUDGE-CRITERION]"),
    ] = None
    labels: LabelsOption = None
    map_: MapOption = None
    epochs: Annotated[int, typer.Option("--epochs", min=1, help="Passes over the rows.")] = EPOCHS
    held_out: Annotated[
        float,
        typer.Option(
            "--held-out", min=0.05, max=0.5, help="Share of the rows that only measure the result."
        ),
    ] = HELD_OUT
    longest: Annotated[
        int,
        typer.Option("--longest", min=100, help="Leave out rows of more characters than that."),
    ] = LONGEST
    seed: Annotated[
        int, typer.Option("--seed", help="Of the draw of the rows held out, and of the training.")
    ] = 0
    device: Annotated[
        str | None,
        typer.Option("--device", help="To train on: cpu, cuda, … [a GPU if there is one]"),
    ] = None
    json_: FiguresAsJsonOption = False
    quiet: QuietOption = False


def tune(options: TuneOptions) -> int:
    """Train a judge further on your own labels.

    FILE needs at least 40 rows with a `label`; 100 to 1,000 are better. Some are kept apart, and the judge is measured on them
    before and after. The new judge is for this criterion. If it was stopped, run the same command again to continue.

    Exit code: 0 trained, 1 the same, but rows were left out, 2 could not run, 130 stopped.
    """
    need_packages()
    check_device(options.device)
    if options.file == STDIN:
        raise UsageError("mene tune reads its rows more than once; save them to a file first")
    check_input(options.file)
    criterion = load_criterion(options.criterion, options.scale)
    judge = load_preset(judge_named(options.judge))
    check_tunable(judge)
    table = _table(options)
    target = options.output or Path(f"{slug(judge.name)}-{slug(criterion.name)}")
    with downloading() as events:
        recipe = tuning(
            judge,
            table,
            criterion,
            epochs=options.epochs,
            held_out=options.held_out,
            longest=options.longest,
            seed=options.seed,
            dtype=dtype_on(options.device),
            events=events,
        )
    need_room(recipe, options.device)
    check_start(judge, recipe)
    begin(recipe, target)
    errors = Screen(stderr=True, quiet=options.quiet)
    try:
        held, left_out = divided(recipe, target / "data", errors)
        need_room(
            recipe,
            options.device,
            estimate_tokens(read_pairs(target / "data" / "train.jsonl"), recipe),
        )
        before = _judged(judge, held, target / "before.jsonl", errors)
        if not _trained(judge, recipe, target, criterion, errors, options.device):
            raise KeyboardInterrupt
        after = _judged(
            load_preset(str(target / "judge.yaml")), held, target / "after.jsonl", errors
        )
    except KeyboardInterrupt:
        say(f"mene: stopped; run the same command again to continue from {target}")
        return 130
    found, lost = _compared(held, before, after)
    _add_to_card(target / "README.md", judge.name, found)
    if lost:
        note(
            Screen(stderr=True),
            f"{lost:,} of the rows held out have no probabilities of both judges; see before.jsonl and after.jsonl in {target}",
        )
    if options.json_:
        figures = {
            "judge": str(target / "judge.yaml"),
            "held_out": len(held),
            "without_verdict": lost,
        }
        show_json({**figures, **tuned_json(found)})
    else:
        asked = f'"{criterion.question}"' if criterion.in_words else criterion.name
        show_tuned(asked, judge.name, target, f"-c {table.asked}", found)
    return int(bool(left_out or lost))


def _table(options: TuneOptions) -> Own:
    return Own(
        rows=options.file,
        criterion=options.criterion,
        scale=options.scale,
        labels=options.labels,
        map=columns_of(options.map_),
    )


def _judged(
    judge: Preset, held: Sequence[Point], ledger: Path, errors: Console
) -> dict[int, Verdict]:
    criterion = held[0].criterion
    rows = [Row(n, point.id, point.sample) for n, point in enumerate(held)]
    # A row that would be left to a person is judged, since both judges are measured on all rows.
    with open_one(judge.model_copy(update={"abstain": False}), {}) as opened:
        return judged(opened, criterion, rows, ledger, errors, quiet=errors.quiet)


def _trained(
    judge: Preset,
    recipe: Recipe,
    target: Path,
    criterion: Criterion,
    errors: Console,
    device: str | None,
) -> bool:
    """Train, and write the judge into its folder; return False where the training was stopped."""
    from mene.export.base import read_base
    from mene.export.gguf import check_architecture
    from mene.export.run import export  # loads torch

    base = read_base(recipe)
    form = "adapter" if base.gguf is None else "adapter.gguf"
    if base.gguf is not None:
        check_architecture(base.facts.architecture)
    lines: list[dict[str, Any]] = []
    run, data, name = target / "run", target / "data", slug(target.resolve().name)
    if not train_shown(recipe, data, run, errors, lines, device=device):
        return False
    gc.collect()  # the trainer and the model refer to each other
    export(run, target, forms=[form], name=name, data=data, events=lambda event: None)
    template = judge.template
    if not built_in(TEMPLATES, template):
        shutil.copy(template, target / "template.jinja")
        template = "template.jinja"
    preset = as_data(tuned_preset(judge, name, form, template, criterion)) | {"template": template}
    explainer = judge.explainer
    if explainer and preset["explainer"] == explainer:  # not one that ships
        preset["explainer"] = _copied(Path(explainer), target / "explainer")
    text = yaml.safe_dump(preset, sort_keys=False, allow_unicode=True)
    write_whole(target / "judge.yaml", text)
    return True


def _copied(adapter: Path, target: Path) -> str:
    """Copy an adapter beside the judge, so that its folder can be moved; return its name there."""
    if adapter.is_dir():
        shutil.copytree(adapter, target, dirs_exist_ok=True)
        return target.name
    return Path(shutil.copy(adapter, target.with_suffix(adapter.suffix))).name


def _add_to_card(card: Path, judge: str, found: Tuned) -> None:
    text, _, _ = card.read_text("utf-8").partition(CARD)
    write_whole(card, f"{text.rstrip()}\n\n{CARD}\n\n{tuned_markdown(judge, found)}\n")


def _compared(
    held: Sequence[Point], before: dict[int, Verdict], after: dict[int, Verdict]
) -> tuple[Tuned, int]:
    """Compare the two judges on the rows that have probabilities of both; return the number of the other rows too.

    Raises:
        UsageError: there are none.
    """
    both = [
        (point, before[n], after[n])
        for n, point in enumerate(held)
        if all(n in found and found[n].probabilities for found in (before, after))
    ]
    if not both:
        raise UsageError(
            "no row that was held out has probabilities of both judges; before.jsonl and after.jsonl say why"
        )
    points, was, now = zip(*both, strict=True)
    scale = held[0].criterion.scale
    groups = [point.group for point in points]
    return tuned(scale, [point.label for point in points], was, now, groups), len(held) - len(both)
