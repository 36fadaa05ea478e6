"""``mene judge --plan``."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from mene.cli.console import Screen, plain, say, show_json
from mene.cli.judge_options import criteria_of, given, refuse_rest
from mene.cli.opening import judge_named, open_judge
from mene.cli.options import settings_of
from mene.cli.paths import check_input
from mene.criteria_set import CriteriaSet
from mene.errors import UsageError, nearest
from mene.events import Event, Warn
from mene.runs.check import check_columns
from mene.runs.formats import count_rows
from mene.runs.plan.forecast import Choice, Way, by_api, choices, machines, on_gpu
from mene.runs.plan.measure import ROWS, Mean, Measured, measure
from mene.runs.plan.prices import Prices, load_prices
from mene.runs.source import STDIN
from mene.runs.tables import read_rows

if TYPE_CHECKING:
    from mene.cli.judge_options import JudgeOptions


_INTERVAL = "The 95 % interval is that of the rows measured, not of these."
_NO_INTERVAL = "There is no 95 % interval: too few rows were judged, or all have as many tokens; judge more (--limit 50)."


def judge_plan(options: JudgeOptions) -> int:
    """Print what judging all rows would take, measured on some rows; no file is written. Return the exit code."""
    criteria, prices, rows = _asked(options)
    measured, judge = _measured(options, criteria)
    names = [criterion.name for criterion in criteria]
    found = _Plan(
        rows,
        judge,
        names,
        measured,
        _ways(measured, rows, judge, options, prices),
        choices(measured, rows, judge, names, options.agreement, prices),
        prices,
    )
    if options.json_:
        show_json(_as_json(found))
        return 0
    screen = Screen()
    _show_ways(screen, found)
    _show_judges(screen, found, options.agreement)
    return 0


@dataclass(frozen=True)
class _Plan:
    """The results of ``--plan``."""

    rows: int
    judge: str
    criteria: list[str]
    measured: Measured
    ways: list[Way]
    judges: list[Choice]
    prices: Prices


def _asked(options: JudgeOptions) -> tuple[CriteriaSet, Prices, int]:
    """Return criteria, prices and the number of rows, before a model is loaded.

    Raises:
        UsageError: an option cannot be planned; the message says what to do.
    """
    prices = load_prices(options.prices)
    if options.gpu and options.gpu not in prices.gpus:
        raise UsageError(
            f'no figures for "{options.gpu}"{nearest(options.gpu, prices.gpus)}; there are {", ".join(prices.gpus)}; add yours '
            "to a copy of library/plan.yaml, and name that with --prices"
        )
    if options.jury or options.file == STDIN:
        raise UsageError("--plan measures one judge on a file; leave --jury out, and name a file")
    if options.more:
        raise UsageError(
            f"{options.more[0]}: --plan measures one file, which stands for all; name one, and the number of all rows with --rows"
        )
    if options.on is not None:
        raise UsageError(
            "--plan measures on this machine, and reckons for several; leave --on out, and say how many with --workers"
        )
    if found := given(options, "parts", "part_rows"):
        raise UsageError(f"{found} has no effect here; use it with --on ray")
    reasons = given(options, "explain_rows", "reconsider")
    if options.explain not in (None, "none") or reasons:
        raise UsageError(
            f"--plan measures verdicts, not the critiques behind some of them; leave {reasons or '--explain'} out, or plan a "
            "critique for every row with --mode critique"
        )
    refuse_rest(options, "--plan", "leave one of the two out")  # a plan has no verdicts
    criteria = criteria_of(options, jury=False)
    check_input(options.file)
    for criterion in criteria:
        check_columns(options.file, criterion, options.columns)
    rows = options.rows or count_rows(options.file)
    if not rows:
        raise UsageError(f"{options.file}: how many rows? Say it with --rows N")
    return criteria, prices, rows


def _measured(options: JudgeOptions, criteria: CriteriaSet) -> tuple[Measured, str]:
    """Return what the first rows took, and the name of the judge."""

    def events(event: Event) -> None:
        if isinstance(event, Warn):
            say(f"mene: {event.text}")

    with closing(open_judge([judge_named(options.judge)], settings_of(options))) as judge:
        table = read_rows(options.file, options.columns, criteria)
        return measure(judge, criteria, table, options.limit or ROWS, events), judge.name


def _ways(
    measured: Measured, rows: int, judge: str, options: JudgeOptions, prices: Prices
) -> list[Way]:
    count, gpu = options.workers or 1, options.gpu
    ways = [machines(measured, rows, 1, prices)]
    if count > 1:
        ways.append(machines(measured, rows, count, prices))
    known = prices.judges.get(judge)
    for key, card in prices.gpus.items() if known else ():
        if gpu in (None, key) and known is not None:
            way = on_gpu(measured, rows, card, count, known.weights, prices.assumptions)
            ways += [way] if way else []
    apis = prices.apis.items()
    return [*ways, *(by_api(measured, rows, name, api) for name, api in apis)]


def _as_json(plan: _Plan) -> dict[str, Any]:
    rows, measured = plan.rows, plan.measured
    return {
        "rows": rows,
        "judge": plan.judge,
        "criteria": plan.criteria,
        "measured": asdict(measured),
        "tokens": {
            "read": round(rows * measured.read),
            "reused": round(rows * measured.cached.value),
            "written": round(rows * measured.written.value),
        },
        "ways": [asdict(way) for way in plan.ways],
        # Figures of ``plan.yaml`` are pydantic models, which ``asdict`` does not convert.
        "judges": [
            {**vars(one), "agreement": {c: a.model_dump() for c, a in one.agreement.items()}}
            for one in plan.judges
        ],
        "assumptions": plan.prices.assumptions.model_dump(),
    }


def _show_ways(screen: Console, plan: _Plan) -> None:
    """Print where the rows can be judged, in how many hours, and for how many dollars."""
    rows, measured = plan.rows, plan.measured
    failed = f"; {measured.failed} failed" if measured.failed else ""
    by = f", by {len(plan.criteria)} criteria" if len(plan.criteria) > 1 else ""
    screen.print(
        f"[bold]{rows:,} rows[/bold]{by}, from {measured.rows} that were judged by {plain(plan.judge)}{failed}"
    )
    unplanned = "" if measured.written.value else " (reasons are not planned)"
    screen.print(
        f"tokens a row: {_span(measured.prompt)} of the prompt ({measured.cached.value:,.0f} of them reused), "
        f"{_span(measured.written)} written{unplanned}; in all {rows * measured.read / 1e6:,.1f} M read"
    )
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("where", "hours", "dollars", "how"):
        table.add_column(name, overflow="fold")
    for way in plan.ways:
        hours = _span(way.hours, _hours) if way.hours else "by its rate limits"
        money = f"{way.dollars.value:,.2f}" if way.dollars else "not stated"
        table.add_row(plain(way.name), hours, money, plain(way.how))
    screen.print(table)
    if plan.judge not in plan.prices.judges:
        said = f"the weights of {plan.judge} are not in the table of --prices, so GPUs are left out"
        screen.print(plain(said))
    a = plan.prices.assumptions
    screen.print(
        f"[dim]GPUs: {a.compute:.0%} of the peak while reading, {a.bandwidth:.0%} of the bandwidth while {a.together} rows are "
        f"written side by side; a small model reaches less. {_INTERVAL if measured.seconds.share else _NO_INTERVAL}[/dim]"
    )


def _show_judges(screen: Console, plan: _Plan, wanted: float | None) -> None:
    """Print which measured judge is the cheapest that agrees with people well enough."""
    if not plan.judges:
        every = "all of " if len(plan.criteria) > 1 else ""
        names = ", ".join(plan.criteria)
        said = f"no judge has been measured on {every}{names}, so none is known to be the cheapest that is enough"
        screen.print(plain(said))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    several = len(plan.criteria) > 1
    for column in (
        "judge",
        *(["criterion"] if several else []),
        "agreement",
        "measured on",
        "here",
    ):
        table.add_column(column)
    for one in plan.judges:
        enough = "" if one.enough else "  too low, or not sure"
        here = f"{'not known' if one.hours is None else _hours(one.hours)}{enough}"
        for criterion, a in one.agreement.items():
            span = (
                f" [{a.low:.0%}, {a.high:.0%}]" if a.low is not None and a.high is not None else ""
            )
            of = f"{a.rows} rows, {plain(a.of)}"
            who = (one.judge, plain(criterion)) if several else (one.judge,)
            table.add_row(*who, f"{a.value:.0%}{plain(span)}", of, here)
    screen.print()
    screen.print(table)
    if wanted is not None:
        first = plan.judges[0]
        none = "none of these; align one on your own labels, or ask a larger model"
        screen.print(f"cheapest judge for {wanted:.0%}: {first.judge if first.enough else none}")


def _span(mean: Mean, said: Callable[[float], str] = "{:,.0f}".format) -> str:
    """Return a mean with its interval, if it has one."""
    if mean.low is None or mean.high is None or mean.low == mean.high:
        return said(mean.value)
    return f"{said(mean.value)} ({said(mean.low)} to {said(mean.high)})"


def _hours(hours: float) -> str:
    if hours >= 1:
        return f"{hours:,.1f} h"
    return f"{hours * 60:.0f} min" if hours >= 1 / 60 else f"{hours * 3600:.1f} s"
