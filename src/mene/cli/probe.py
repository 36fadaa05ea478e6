"""``mene bench --suite robustness`` and ``--suite bias`` on a terminal."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from mene.bench.cost import cost
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
from mene.bench.run import check_summaries
from mene.bench.score import is_even
from mene.bench.sets import BenchSet, all_sets, find_sets
from mene.cli.bench_sets import show_cost
from mene.cli.bench_tables import console_of, figure_text
from mene.cli.console import Screen, plain, say, show_json
from mene.cli.measuring import moving, open_measured, rows_bar
from mene.errors import UsageError
from mene.files import make_folder
from mene.judge.judge import Judge
from mene.judge.preset import Mode
from mene.judge.settings import Options
from mene.stats.intervals import Figure
from mene.text.visible import visible

if TYPE_CHECKING:
    from mene.cli.bench import BenchOptions

PROBES = ("robustness", "bias")
Rows = list[tuple[BenchSet, list[Item]]]


def probe(options: BenchOptions, judges: list[str], settings: Options) -> int:
    """Run the probe of ``--suite`` (``robustness``, ``bias``, or ``bias:SET,SET``), or print what it would take. Return the exit
    code."""
    kind, rows = _asked(options)
    if options.dry_run:
        _estimate(options, judges, settings, kind, rows)
        return 0
    make_folder(options.results)
    check_summaries(options.results, judges, kind)
    console = console_of()
    said: dict[str, Any] = {}
    failed = 0
    for spec in judges:
        with open_measured(spec, settings) as judge:
            try:
                found = _probed(options, judge, kind, rows)
            except KeyboardInterrupt:
                where = options.results
                say(
                    f"mene: stopped. The verdicts so far are in {where}; run the same command again to continue."
                )
                return 130
        failed += sum(map(_failed, found.values()))
        counts = {one.name: len(items) for one, items in rows}
        path = write_probe(options.results, judge, kind, found, counts)
        said[judge.name] = json.loads(path.read_text("utf-8"))
        if not options.json_:
            _show(console, judge, rows, found, path)
    if options.json_:
        show_json(said)
    return 1 if failed else 0


def _asked(options: BenchOptions) -> tuple[str, Rows]:
    """Return the kind of probe, and the rows of its sets."""
    suite = options.suite
    kind, colon, names = suite.partition(":")
    if colon and not names.strip():
        raise UsageError(
            f"{suite}: name the sets after the colon, or leave it out for {', '.join(SETS)}"
        )
    sets = find_sets(names) if names else [all_sets()[name] for name in SETS]
    folder = data_folder(options.data)
    rows: Rows = []
    for one in sets:
        # Between two equal texts there is no choice that a probe could change.
        items = [item for item in read_set(folder, one) if not is_even(item)]
        groups = one.metric == "group_spearman"
        rows.append(
            (one, stratified(items, options.limit, options.sample_seed, whole_groups=groups))
        )
    return kind, rows


def _estimate(
    options: BenchOptions, judges: list[str], settings: Options, kind: str, rows: Rows
) -> None:
    """``--dry-run``."""
    estimates = {}
    for spec in judges:
        with open_measured(spec, settings) as judge:
            whole = [(one, items, len(items)) for one, items in rows]
            estimates[judge.name] = cost(judge, whole, partial(_times, kind))
            if not options.json_:
                show_cost(console_of(), judge, estimates[judge.name], [])
    if options.json_:
        show_json({"judges": estimates})


def _probed(
    options: BenchOptions, judge: Judge, kind: str, rows: Rows
) -> dict[str, Spread | list[Sway]]:
    """Return set -> the results of the probe for one judge."""
    probe_set = probe_formats if kind == "robustness" else probe_bias
    found: dict[str, Spread | list[Sway]] = {}
    with rows_bar(judge, Screen(stderr=True), hidden=options.quiet) as bar:
        for one, items in rows:
            total = sum(_times(kind, judge, items).values()) * len(items)
            task = bar.add_task(f"{visible(judge.name)}, {one.name}", total=total)
            found[one.name] = probe_set(judge, one, items, options.results, moving(bar, task))
    return found


def _times(kind: str, judge: Judge, items: list[Item]) -> dict[Mode, int]:
    """Return mode -> how often a probe judges each row."""
    if kind == "bias":
        return {judge.mode: 1 + len(CHANGES)}
    names = [form.name for form, _ in formats_for(judge, items)]
    others = names.count(OTHER_MODE)
    asked: dict[Mode, int] = {judge.mode: len(names) - others}
    if others:
        asked[other_mode(judge.mode)] = others
    return asked


def _show(
    console: Console, judge: Judge, rows: Rows, found: dict[str, Spread | list[Sway]], path: Path
) -> None:
    for one, items in rows:
        findings = found[one.name]
        if isinstance(findings, Spread):
            console.print(_spread(judge, one, len(items), findings))
        else:
            console.print(_sways(judge, one, len(items), findings))
    console.print(f"[dim]{plain(path)}[/dim]")


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
    if found.sd is not None and found.widest is not None:
        mean += f", sd {found.sd * size:.2f}{unit}, widest gap {found.widest * size:.2f}{unit}"
    table.add_row("mean", mean, figure_text(found.flip_rate, False))
    _tell_failed(table, _failed(found))
    return table


def _tell_failed(table: Table, failed: int) -> None:
    if failed:
        table.caption = f"{failed} verdicts are missing: they count as changed. Run the same command again to retry."


def _sways(judge: Judge, one: BenchSet, rows: int, found: list[Sway]) -> Table:
    table = Table(title=f"{plain(judge.name)}: {one.title}, {rows} rows", title_justify="left")
    for name in (
        "change",
        "labels that flip (95 % interval)",
        "as the change argues, or up",
        "against it, or down",
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
