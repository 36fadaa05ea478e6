"""``mene judge --plan``."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.table import Table

from mene.cli.console import Screen, plain, say, show_json
from mene.cli.judge_options import only_criterion, refuse_rest
from mene.cli.opening import judge_named, open_judge
from mene.cli.options import settings_of
from mene.cli.paths import check_input
from mene.errors import UsageError, nearest
from mene.events import Event, Warn
from mene.runs.check import check_columns
from mene.runs.formats import count_rows
from mene.runs.plan.forecast import Way, by_api, choices, machines, on_gpu
from mene.runs.plan.measure import ROWS, Mean, Measured, measure
from mene.runs.plan.prices import Prices, load_prices
from mene.runs.source import STDIN
from mene.runs.tables import read_rows

if TYPE_CHECKING:
    from mene.cli.judge_options import JudgeOptions


def judge_plan(options: JudgeOptions) -> int:
    """Say what judging all rows would take, from some that are judged now; nothing is written."""
    prices = load_prices(options.prices)
    if options.gpu and options.gpu not in prices.gpus:
        raise UsageError(
            f'no figures for "{options.gpu}"{nearest(options.gpu, prices.gpus)}; there are {", ".join(prices.gpus)}; add yours '
            "to a copy of library/plan.yaml, and name that with --prices"
        )
    if options.jury or options.file == STDIN:
        raise UsageError("--plan measures one judge on a file; leave --jury out, and name a file")
    spec = judge_named(options.judge)
    refuse_rest(options, "--plan", "leave one of the two out")  # it has no verdicts
    criterion = only_criterion(options, "--plan")
    columns = options.columns
    check_input(options.file)
    check_columns(options.file, criterion, columns)
    rows = options.rows or count_rows(options.file)
    if not rows:
        raise UsageError(f"{options.file}: how many rows? Say it with --rows N")
    judge = open_judge([spec], settings_of(options))

    def events(event: Event) -> None:
        if isinstance(event, Warn):
            say(f"mene: {event.text}")

    try:
        table = read_rows(options.file, columns, criterion)
        measured = measure(judge, criterion, table, options.limit or ROWS, events)
    finally:
        judge.close()
    name = judge.judges[0].preset.name
    ways = _ways(measured, rows, name, options.workers or 1, options.gpu, prices)
    best = choices(measured, rows, name, criterion.name, options.agreement, prices)
    if options.json_:
        show_json(
            {
                "rows": rows,
                "judge": name,
                "criterion": criterion.name,
                "measured": asdict(measured),
                "tokens": {
                    "read": round(rows * measured.read),
                    "reused": round(rows * measured.cached.value),
                    "written": round(rows * measured.written.value),
                },
                "ways": [asdict(way) for way in ways],
                "judges": [asdict(one) for one in best],
                "assumptions": prices.assumptions.model_dump(),
            }
        )
        return 0
    screen = Screen()
    _show(screen, measured, rows, name, ways, prices)
    if not best:
        screen.print(
            plain(
                f"no judge has been measured on {criterion.name}, so none is known to be the cheapest that is enough"
            )
        )
        return 0
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("judge", "agreement", "measured on", "here"):
        table.add_column(column)
    for one in best:
        a = one.agreement
        span = f" [{a.low:.0%}, {a.high:.0%}]" if a.low is not None and a.high is not None else ""
        enough = "" if one.enough else "  too low, or not sure"
        table.add_row(
            one.judge,
            f"{a.value:.0%}{plain(span)}",
            f"{a.rows} rows, {plain(a.of)}",
            f"{_hours(one.hours)}{enough}",
        )
    screen.print()
    screen.print(table)
    if options.agreement is not None:
        first = best[0]
        screen.print(
            f"cheapest judge for {options.agreement:.0%}: "
            + (
                f"{first.judge}"
                if first.enough
                else "none of these; align one on your own labels, or ask a larger model"
            )
        )
    return 0


def _ways(
    measured: Measured, rows: int, judge: str, count: int, gpu: str | None, prices: Prices
) -> list[Way]:
    ways = [machines(measured, rows, 1, prices)]
    if count > 1:
        ways.append(machines(measured, rows, count, prices))
    known = prices.judges.get(judge)
    for key, card in prices.gpus.items() if known else ():
        if gpu in (None, key) and known is not None:
            way = on_gpu(measured, rows, card, count, known.weights, prices.assumptions)
            ways += [way] if way else []
    return [*ways, *(by_api(measured, rows, name, api) for name, api in prices.apis.items())]


def _show(
    screen: Screen, measured: Measured, rows: int, judge: str, ways: list[Way], prices: Prices
) -> None:
    failed = f"; {measured.failed} failed" if measured.failed else ""
    screen.print(
        f"[bold]{rows:,} rows[/bold], from {measured.rows} that were judged by {plain(judge)}{failed}"
    )
    screen.print(
        f"tokens a row: {_span(measured.prompt)} of the prompt ({measured.cached.value:,.0f} of them reused), "
        f"{_span(measured.written)} written; in all {rows * measured.read / 1e6:,.1f} M read"
    )
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("where", "hours", "dollars", "how"):
        table.add_column(name, overflow="fold")
    for way in ways:
        hours = (
            f"{_hours(way.hours.value)} ({_hours(way.hours.low)} to {_hours(way.hours.high)})"
            if way.hours
            else "its limits"
        )
        money = f"{way.dollars.value:,.2f}" if way.dollars else "not stated"
        table.add_row(plain(way.name), hours, money, plain(way.how))
    screen.print(table)
    if judge not in prices.judges:
        screen.print(
            plain(f"the weights of {judge} are not in the table of --prices, so GPUs are left out")
        )
    a = prices.assumptions
    screen.print(
        f"[dim]GPUs: {a.compute:.0%} of the peak while reading, {a.bandwidth:.0%} of the bandwidth while {a.together} rows are "
        "written side by side; a small model reaches less. The 95 % interval is that of the rows measured, not of these.[/dim]"
    )


def _span(mean: Mean) -> str:
    return f"{mean.value:,.0f} ({mean.low:,.0f} to {mean.high:,.0f})"


def _hours(hours: float) -> str:
    if hours >= 1:
        return f"{hours:,.1f} h"
    return f"{hours * 60:.0f} min" if hours >= 1 / 60 else f"{hours * 3600:.1f} s"
