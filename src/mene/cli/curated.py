"""What ``mene curate`` prints: the table of what was made, and the list of sets and generators."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.table import Table

from mene.bench.data import named_folder
from mene.cli.console import Screen, plain, show_json
from mene.curate.critiques.kept import NAME, Price
from mene.curate.make.registry import MAKERS
from mene.curate.raw.sources import Task, all_sources, source_path
from mene.curate.report import Made
from mene.curate.run import folders


def price_of(price: Price) -> dict[str, object]:
    used = price.usage
    return {
        "asked": price.asked,
        "reused": price.reused,
        "tokens": {
            "read": used.prompt_tokens - used.cached_tokens,
            "reused": used.cached_tokens,
            "written": used.completion_tokens,
        },
    }


def show_made(made: Made, target: Path, seconds: float) -> None:
    console = Screen()
    if not console.is_terminal:
        console = Screen(width=120)
    table = Table(box=None, pad_edge=False)
    table.add_column("source")
    for name in ("points", "too long", "in a benchmark", "train", "dev", "pairs"):
        table.add_column(name, justify="right")
    for name, c in made.counts.items():
        row = (c.read, c.too_long, c.in_bench, c.kept["train"], c.kept["dev"], c.pairs)
        table.add_row(plain(name), *(f"{n:,}" for n in row))
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
            table.add_row(plain(name), points, plain(reasons))
        console.print()
        console.print(table)
    console.print(
        f"\n{made.pairs['train']:,} pairs to train on, {made.pairs['dev']:,} for development; "
        f"{read:,} points in {seconds:.0f} s, {read / seconds:,.0f} a second"
    )
    if made.price is not None:
        used = made.price.usage
        console.print(
            f"asked    {made.price.asked:,} answers, {made.price.reused:,} more from {NAME}; tokens "
            f"{used.prompt_tokens - used.cached_tokens:,} read, {used.cached_tokens:,} reused, "
            f"{used.completion_tokens:,} written"
        )
    console.print(f"written  {plain(target)}/train.jsonl, dev.jsonl, report.json")


def list_sources(data: Path | None, *, as_json: bool) -> None:
    """``mene curate --list``; ``data``: as for ``named_folder``; without one, nothing says which are here."""
    listed = _listed(data)
    if as_json:
        made = {name: {"tasks": maker.tasks, "what": maker.why} for name, maker in MAKERS.items()}
        show_json({"sources": listed, "make": made})
        return
    table = Table(box=None, pad_edge=False)
    for name in ("name", "here", "tasks", "critiques", "licence", "from"):
        table.add_column(name)
    for name, one in listed.items():
        here = {None: "", True: "yes", False: "no"}[one["here"]]
        critiques = "some" if one["critiques"] else ""
        tasks = ", ".join(one["tasks"])
        told = (name, here, tasks, critiques, one["licence"], one["origin"])
        table.add_row(*map(plain, told))
    made = Table(box=None, pad_edge=False)
    for name in ("made by (data.make)", "tasks", "what"):
        made.add_column(name)
    for name, maker in MAKERS.items():
        made.add_row(plain(name), plain(maker.tasks), plain(maker.why))
    console = Screen()
    if not console.is_terminal:
        console = Screen(width=210)
    console.print(table)
    console.print()
    console.print(made)


def _listed(data: Path | None) -> dict[str, dict[str, Any]]:
    """Return name of a raw set -> what is known of it."""
    raw = folders(data)[0] if named_folder(data) else None
    return {
        one.name: {
            "here": None if raw is None else source_path(raw, one).is_file(),
            "tasks": [task.view or f"{_labels_of(task)} (own question)" for task in one.tasks],
            "critiques": any(task.critique for task in one.tasks),
            "licence": one.licence,
            "origin": one.origin,
        }
        for one in all_sources().values()
    }


def _labels_of(task: Task) -> str:
    if task.scale == "row":  # each row has its own
        return "scores"
    return task.scale or "/".join(task.labels)
