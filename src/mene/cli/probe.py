"""``mene bench --suite robustness`` and ``--suite bias`` on a terminal."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from mene.bench.before import cost, show_cost
from mene.bench.data import Item, data_folder, read_set, stratified
from mene.bench.probes.bias import CHANGES, Sway
from mene.bench.probes.formats import BASE, OTHER_MODE, Spread
from mene.bench.probes.probe import (
    SETS,
    formats_for,
    other_mode,
    probe_bias,
    probe_formats,
    write_probe,
)
from mene.bench.run import check_summaries, make_folder
from mene.bench.score import is_even
from mene.bench.sets import BenchSet, all_sets, find_sets
from mene.cli.bench import check_names, console_of, figure_text, open_measured
from mene.cli.console import Screen, plain, progress_bar, say, show_json, words
from mene.cli.long_row import reading_said
from mene.errors import UsageError
from mene.judge.judge import Judge
from mene.judge.preset import Mode
from mene.judge.settings import Options
from mene.stats.intervals import Figure
from mene.text.visible import visible

PROBES = ("robustness", "bias")


def probe_on_screen(
    suite: str,
    judges: list[str],
    data: Path | None,
    results: Path,
    *,
    options: Options,
    limit: int | None,
    seed: int,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Run a probe (``robustness``, ``bias``, or ``bias:SET,SET``), or say what it would take. Returns the exit code."""
    check_names(judges)
    kind, colon, names = suite.partition(":")
    if colon and not names.strip():
        raise UsageError(
            f"{suite}: name the sets after the colon, or leave it out for {', '.join(SETS)}"
        )
    sets = find_sets(names) if names else [all_sets()[name] for name in SETS]
    folder = data_folder(data)
    # Of two times the same text nobody chooses, so there is no choice to change.
    read = [(one, [i for i in read_set(folder, one) if not is_even(i)]) for one in sets]
    rows = [
        (one, stratified(items, limit, seed, whole_groups=one.metric == "group_spearman"))
        for one, items in read
    ]
    if dry_run:
        estimates = {}
        for spec in judges:
            judge = open_measured(spec, options)
            with judge:
                whole = [(one, items, len(items)) for one, items in rows]
                estimates[judge.name] = cost(judge, whole, partial(_times, kind))
                if not as_json:
                    show_cost(console_of(), judge, estimates[judge.name], [])
        if as_json:
            show_json({"judges": estimates})
        return 0
    make_folder(results)
    check_summaries(results, judges, kind)
    errors = Screen(stderr=True, quiet=quiet)
    console = console_of()
    said: dict[str, Any] = {}
    failed = 0
    for spec in judges:
        judge = open_measured(spec, options)
        bar = progress_bar(
            words(),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            words("left"),
            TimeRemainingColumn(),
            console=errors,
            hidden=quiet,
            stuck=lambda engine=judge.engine: reading_said([engine]),
            speed_estimate_period=120,
        )
        found: dict[str, Any] = {}
        try:
            with bar:
                for one, items in rows:
                    times = sum(_times(kind, judge, items).values())
                    task = bar.add_task(
                        f"{visible(judge.name)}, {one.name}", total=times * len(items)
                    )
                    tick = lambda verdict, bar=bar, task=task: bar.update(task, advance=1)  # noqa: E731
                    probe = probe_formats if kind == "robustness" else probe_bias
                    found[one.name] = probe(judge, one, items, results, tick)
        except KeyboardInterrupt:
            say(f"mene: stopped. The same command goes on; verdicts are in {results}.")
            return 130
        finally:
            judge.close()
        failed += sum(_failed(findings) for findings in found.values())
        path = write_probe(results, judge, kind, found, {one.name: len(i) for one, i in rows})
        said[judge.name] = json.loads(path.read_text("utf-8"))
        if not as_json:
            for one, items in rows:
                shown = _spread if kind == "robustness" else _sways
                console.print(shown(judge, one, len(items), found[one.name]))
            console.print(f"[dim]{plain(path)}[/dim]")
    if as_json:
        show_json(said)
    return 1 if failed else 0


def _times(kind: str, judge: Judge, items: list[Item]) -> dict[Mode, int]:
    """How often a probe asks each row, by mode."""
    if kind == "bias":
        return {judge.mode: 1 + len(CHANGES)}
    names = [form.name for form, _ in formats_for(judge, items)]
    others = names.count(OTHER_MODE)
    asked: dict[Mode, int] = {judge.mode: len(names) - others}
    if others:
        asked[other_mode(judge.mode)] = others
    return asked


def _failed(found: Spread | list[Sway]) -> int:
    return found.failed if isinstance(found, Spread) else sum(sway.failed for sway in found)


def _spread(judge: Judge, one: BenchSet, rows: int, found: Spread) -> Table:
    table = Table(
        title=f"{plain(judge.name)}: {one.title}, {rows} rows, {one.metric.replace('_', ' ')}",
        title_justify="left",
    )
    for name in ("format", "figure (95 % interval)", "labels that differ from base"):
        table.add_column(name)
    correlation = not one.is_accuracy
    for name, figure in found.figures.items():
        flip = "" if name == BASE else figure_text(found.flips[name], False)
        table.add_row(name, figure_text(figure, correlation), flip)
    table.add_section()
    size, unit = (1, "") if correlation else (100, " points")
    mean = figure_text(Figure(found.mean, None, None, rows), correlation)
    table.add_row(
        "mean",
        f"{mean}, sd {found.sd * size:.2f}{unit}, widest gap {found.widest * size:.2f}{unit}",
        figure_text(found.flip_rate, False),
    )
    _tell_failed(table, _failed(found))
    return table


def _tell_failed(table: Table, failed: int) -> None:
    if failed:
        table.caption = f"{failed} verdicts are missing: they count as changed. The same command asks for them again."


def _sways(judge: Judge, one: BenchSet, rows: int, found: list[Sway]) -> Table:
    table = Table(title=f"{plain(judge.name)}: {one.title}, {rows} rows", title_justify="left")
    for name in (
        "change",
        "labels that flip (95 % interval)",
        "to what it argues for, or up",
        "away from it, or down",
    ):
        table.add_column(name)
    for one_kind in found:
        cells = [
            "" if f is None else figure_text(f, False) for f in (one_kind.towards, one_kind.away)
        ]
        name = "position (towards: first seat)" if one_kind.kind == "position" else one_kind.kind
        table.add_row(name, figure_text(one_kind.flips, False), *cells)
    if one.both_orders and judge.compare == "pointwise":
        table.add_row("position", "none: each response is judged alone", "", "")
    _tell_failed(table, _failed(found))
    return table
