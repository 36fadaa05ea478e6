"""Before a benchmark run: list the sets, download them, and estimate the cost."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from mene.bench.cost import TRIES
from mene.bench.data import data_folder, named_folder, set_path
from mene.bench.public import obtain
from mene.bench.sets import BenchSet, all_sets
from mene.cli.console import Screen, plain, show, show_json
from mene.errors import UsageError
from mene.judge.judge import Judge

WIDE = 170  # characters that the whole list of sets needs


def list_sets(data: Path | None, *, as_json: bool) -> None:
    """``mene bench --list``."""
    folder = data_folder(data) if named_folder(data) else None
    if as_json:
        fields = ("name", "title", "suites", "kind", "metric", "partial", "home")
        lines = [
            {f: getattr(one, f) for f in fields}
            | {"here": None if folder is None else set_path(folder, one) is not None}
            for one in all_sets().values()
        ]
        show_json(lines)
        return
    lines = []
    for one in all_sets().values():
        here = "" if folder is None else "yes" if set_path(folder, one) else "no"
        if here == "yes" and one.partial:
            here = "partly"
        metric = one.metric.replace("_", " ")
        lines.append((one.name, ", ".join(one.suites), one.kind, metric, here, one.home))
    names = ("name", "suites", "kind", "metric", "here", "published at")
    console = Screen()
    if not console.is_terminal:
        console = Screen(width=WIDE)
    if console.width >= WIDE:
        console.print(_plain_table(names, lines))
        return
    # A truncated path or URL is useless.
    console.print(_plain_table(names[:-1], [line[:-1] for line in lines]))
    console.print()
    console.print(_plain_table((names[0], names[-1]), [(line[0], line[-1]) for line in lines]))


def _plain_table(names: Sequence[str], lines: Sequence[Sequence[str]]) -> Table:
    shown = Table(box=None, pad_edge=False)
    for name in names:
        shown.add_column(name, no_wrap=name == "name", overflow="fold")
    for line in lines:
        shown.add_row(*map(plain, line))
    return shown


def get_sets(names: str, data: Path | None) -> None:
    """``mene bench --get``."""
    folder = named_folder(data)
    if folder is None:
        raise UsageError("name the folder for the benchmark files with --data or MENE_DATA")
    for name in (part.strip() for part in names.split(",")):
        path, rows = obtain(name, folder)
        show(f"{path}  {rows:,} rows")


def show_cost(
    console: Console,
    judge: Judge,
    found: dict[str, dict[str, float]],
    missing: Sequence[BenchSet],
) -> None:
    """Print the results of ``cost`` as a table."""
    shown = Table(
        title=f"{plain(judge.name)}, {judge.mode} mode: estimated cost", title_justify="left"
    )
    for name in ("benchmark", "rows", "prompts", "tokens", "minutes"):
        shown.add_column(name, justify="left" if name == "benchmark" else "right")

    def add(title: str, line: Sequence[float]) -> None:
        shown.add_row(title, *(f"{v:,}" for v in line[:3]), f"{line[3]:.1f}")

    lines = {name: list(line.values()) for name, line in found.items()}
    for name, line in lines.items():
        add(all_sets()[name].title, line)
    shown.add_section()
    add("all", [sum(column) for column in zip(*lines.values(), strict=True)] or [0, 0, 0, 0.0])
    for one in missing:
        shown.add_row(one.title, "[dim]no data[/dim]", "", "", "")
    console.print(shown)
    console.print(
        f"[dim]Estimated from {TRIES} rows of each set, judged now. Rows that share a context or rubric "
        "are read faster.[/dim]"
    )
