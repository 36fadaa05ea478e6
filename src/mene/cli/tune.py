"""``mene tune``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from mene.bench.align.tuned import Tuned, tuned
from mene.bench.data import named_folder
from mene.bench.run import slug
from mene.cli.console import Screen, note, say, show_json
from mene.cli.measuring import judged
from mene.cli.opening import judge_named, open_one
from mene.cli.options import (
    CriterionOption,
    DeviceOption,
    FiguresAsJsonOption,
    File,
    JudgeOption,
    LabelsOption,
    MapOption,
    QuietOption,
    ScaleOption,
    columns_of,
)
from mene.cli.paths import check_input
from mene.cli.train_shown import train_shown
from mene.cli.training import need_packages, need_room
from mene.cli.tuned_shown import show_tuned, tuned_json, tuned_markdown
from mene.criterion import load_criterion
from mene.curate.mix import side_of
from mene.curate.own import own_points
from mene.curate.raw.sources import Point
from mene.curate.run import curate, folders
from mene.errors import UsageError
from mene.files import write_whole
from mene.judge.preset import Preset, load_preset
from mene.recipe import Own, Recipe
from mene.runs.source import STDIN
from mene.runs.tables import Row
from mene.stats.shared import shared
from mene.train.tuning import dtype_on, tuning
from mene.verdict import Verdict

LEAST = 40  # rows: fewer can neither teach nor show anything
HELD_OUT = 0.3
EPOCHS = 3
CARD = "## On rows held out"


@dataclass(frozen=True, kw_only=True)
class TuneOptions:
    """Options of ``mene tune``."""

    file: File
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
            "--held-out", min=0.05, max=0.8, help="Share of the rows that only measure the result."
        ),
    ] = HELD_OUT
    seed: Annotated[int, typer.Option("--seed", help="Of the draw of these rows.")] = 0
    device: DeviceOption = None
    json_: FiguresAsJsonOption = False
    quiet: QuietOption = False


def tune(options: TuneOptions) -> int:
    """Train a judge further on your own labels.

    FILE needs at least 40 rows with a `label`; 100 to 1,000 are better. Some are kept apart, and the judge is measured on them
    before and after. The new judge is for this criterion. If it was stopped, run the same command again to continue.

    Exit code: 0 trained, 1 the same, but rows were left out, 2 could not run, 130 stopped.
    """
    need_packages()
    if options.file == STDIN:
        raise UsageError("mene tune reads its rows more than once; save them to a file first")
    check_input(options.file)
    criterion = load_criterion(options.criterion, options.scale)
    judge = load_preset(judge_named(options.judge))
    target = options.output or Path(f"{slug(judge.name)}-{slug(criterion.name)}")
    recipe = tuning(
        judge,
        [_table(options)],
        epochs=options.epochs,
        held_out=options.held_out,
        seed=options.seed,
        dtype=dtype_on(options.device),
    )
    need_room(recipe, options.device)
    errors = Screen(stderr=True, quiet=options.quiet)
    wrong = _curated(recipe, target, errors)
    held = _held_out(recipe, options.file)
    try:
        before = _judged(judge, held, target / "before.jsonl", errors)
        if not _trained(recipe, target, errors, options.device):
            say(f"mene: stopped; run the same command again to continue from {target}")
            return 130
        after = _judged(load_preset(str(target)), held, target / "after.jsonl", errors)
    except KeyboardInterrupt:
        say(f"mene: stopped; run the same command again to continue from {target}")
        return 130
    found = _compared(held, before, after)
    _add_to_card(target / "README.md", judge.name, found)
    if options.json_:
        show_json({"judge": str(target), "held_out": len(held), **tuned_json(found)})
    else:
        show_tuned(criterion, judge.name, target, found)
    return int(wrong > 0)


def _table(options: TuneOptions) -> Own:
    return Own(
        rows=options.file,
        criterion=options.criterion,
        scale=options.scale,
        labels=options.labels,
        map=columns_of(options.map_),
    )


def _curated(recipe: Recipe, target: Path, errors: Console) -> int:
    """Make the pairs, say what was left out, and return the number of such rows.

    Raises:
        UsageError: too few rows are left.
    """
    # Rows of a benchmark must not be trained on, where the benchmarks are known.
    bench = folders(None)[1] if named_folder(None) else None
    made = curate(recipe, None, bench, target / "data", events=lambda event: None)
    [table] = recipe.data.own
    counts = made.counts[table.name]
    for text in counts.broken_rows:
        note(errors, text)
    if counts.too_long:
        longest = recipe.data.longest
        note(errors, f"{counts.too_long:,} rows of more than {longest:,} characters left out")
    if counts.in_bench:
        note(errors, f"{counts.in_bench:,} rows left out, which are in a benchmark")
    rows = sum(counts.kept.values())
    if rows < LEAST:
        raise UsageError(
            f"{table.rows}: {rows:,} rows with a label to train on, and at least {LEAST} are needed; 100 to 1,000 are better. "
            "With fewer, `mene align` measures the judge"
        )
    errors.print(f"{counts.kept['train']:,} rows to train on, {counts.kept['dev']:,} held out")
    return counts.broken + counts.too_long + counts.in_bench


def _held_out(recipe: Recipe, path: str) -> list[Point]:
    """Return the rows that only measure.

    Raises:
        UsageError: they have only one label, or there are none.
    """
    points = own_points(recipe.data.own)
    share, seed = recipe.data.development, recipe.seed
    held = [point for point in points if side_of(point, share, seed) == "dev"]
    if len({point.label for point in held}) < 2:
        raise UsageError(
            f"{path}: the {len(held)} rows that would be held out have not two different labels; give more rows, a larger "
            "--held-out, or another --seed. Rows with one context are held out together"
        )
    return held


def _judged(
    judge: Preset, held: Sequence[Point], ledger: Path, errors: Console
) -> dict[int, Verdict]:
    criterion = held[0].criterion
    rows = [Row(n, point.id, point.sample) for n, point in enumerate(held)]
    with open_one(judge, {}) as opened:
        return judged(opened, criterion, rows, ledger, errors, quiet=errors.quiet)


def _trained(recipe: Recipe, target: Path, errors: Console, device: str | None) -> bool:
    """Train, and write the judge into its folder; return False where the training was stopped."""
    from mene.export.run import export  # loads torch

    lines: list[dict[str, Any]] = []
    run = target / "run"
    if not train_shown(recipe, target / "data", run, errors, lines, device=device):
        return False
    assert recipe.base is not None
    in_gguf = recipe.base.hub is None or "gguf" in recipe.base.file.casefold()
    export(
        run,
        target,
        forms=["adapter.gguf" if in_gguf else "adapter"],
        name=slug(target.resolve().name),
        data=target / "data",
        events=lambda event: None,
    )
    return True


def _add_to_card(card: Path, judge: str, found: Tuned) -> None:
    text, _, _ = card.read_text("utf-8").partition(CARD)
    write_whole(card, f"{text.rstrip()}\n\n{CARD}\n\n{tuned_markdown(judge, found)}\n")


def _compared(
    held: Sequence[Point], before: dict[int, Verdict], after: dict[int, Verdict]
) -> Tuned:
    """Compare the two judges on the rows that have probabilities of both.

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
            "no row that was held out has probabilities of both judges; see before.jsonl and after.jsonl"
        )
    points, was, now = zip(*both, strict=True)
    groups = [shared(point.sample) for point in points]
    scale = held[0].criterion.scale
    return tuned(scale, [point.label for point in points], was, now, groups)
