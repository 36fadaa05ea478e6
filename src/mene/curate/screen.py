"""``mene curate`` on a terminal."""

from __future__ import annotations

import json
import time
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from mene.curate.run import Made, curate, folders, to_dict
from mene.curate.sources import all_sources, source_path
from mene.recipe import load_recipe


def curate_on_screen(
    spec: str, data: Path | None, output: Path | None, *, as_json: bool, quiet: bool
) -> int:
    """``mene curate``. Returns the exit code: 1 where rows of a set were broken."""
    recipe = load_recipe(spec)
    raw, bench = folders(data)
    target = output or Path(f"{Path(spec).stem}-data")
    errors = Console(stderr=True, quiet=quiet, highlight=False)
    start = time.perf_counter()
    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TextColumn("{task.completed:,} points"),
        TimeElapsedColumn(),
        console=errors,
        disable=quiet,
        transient=True,
    )
    total = len(recipe.data.sources)
    with bar:
        task = bar.add_task("", total=None)
        stage = iter(range(total + 1))
        made = curate(
            recipe,
            raw,
            bench,
            target,
            on_stage=lambda name: bar.update(task, description=f"{next(stage)}/{total} {name}"),
            on_point=lambda: bar.advance(task),
        )
    seconds = time.perf_counter() - start
    if as_json:
        print(json.dumps({**to_dict(made), "seconds": round(seconds, 1)}, ensure_ascii=False))
    else:
        _show(made, target, seconds)
    broken = 0
    for found in made.counts.values():
        broken += found.broken
        for text in found.broken_rows:
            errors.print(escape(text), style="yellow", soft_wrap=True)
    return 1 if broken else 0


def _show(made: Made, target: Path, seconds: float) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=120)
    table = Table(box=None, pad_edge=False)
    table.add_column("source")
    for name in ("points", "too long", "in a benchmark", "train", "dev", "pairs"):
        table.add_column(name, justify="right")
    for name, c in made.counts.items():
        row = (c.read, c.too_long, c.in_bench, c.kept["train"], c.kept["dev"], c.pairs)
        table.add_row(name, *(f"{n:,}" for n in row))
    read = sum(c.read for c in made.counts.values())
    console.print(table)
    if made.stages:
        table = Table(box=None, pad_edge=False)
        table.add_column("stage")
        table.add_column("points", justify="right")
        table.add_column("left out")
        for name, stage in made.stages.items():
            reasons = ", ".join(f"{n:,} {reason}" for reason, n in sorted(stage.dropped.items()))
            points = f"{stage.made.total():,}" if stage.made else ""
            table.add_row(name, points, reasons)
        console.print()
        console.print(table)
    console.print(
        f"\n{made.pairs['train']:,} pairs to train on, {made.pairs['dev']:,} to choose by; "
        f"{read:,} points in {seconds:.0f} s, {read / seconds:,.0f} a second"
    )
    console.print(f"written  {escape(str(target))}/train.jsonl, dev.jsonl, report.json")


def list_sources(data: Path | None) -> None:
    """``mene curate --list``."""
    raw = None if data is None else folders(data)[0]
    table = Table(box=None, pad_edge=False)
    for name in ("name", "here", "tasks", "critiques", "licence"):
        table.add_column(name)
    for one in all_sources().values():
        here = "" if raw is None else "yes" if source_path(raw, one).is_file() else "no"
        tasks = ", ".join(
            task.view or f"{task.scale or '/'.join(task.labels)} (own question)"
            for task in one.tasks
        )
        critiques = "some" if any(task.critique for task in one.tasks) else ""
        table.add_row(one.name, here, tasks, critiques, one.licence)
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=170)
    console.print(table)
