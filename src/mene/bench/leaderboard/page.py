"""The leaderboard as one self-contained HTML page: figures, published ones, robustness, bias, speed."""

from __future__ import annotations

from importlib import resources
from math import log10
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape

from mene.bench.leaderboard.cells import (
    beside,
    cell,
    figure_cell,
    mean_text,
    spread_cells,
    trivial_cell,
)
from mene.bench.leaderboard.published import (
    MARKS,
    has_published,
    named,
    published,
    published_cell,
    published_of,
    sources_of,
)
from mene.bench.leaderboard.results import (
    ELEVEN,
    Entry,
    figure_of,
    group_means,
    is_part,
    is_whole,
    row_sets,
    shown_sets,
)
from mene.bench.sets import BenchSet, all_sets
from mene.report import charts
from mene.stats.agreement import Bin
from mene.stats.intervals import Figure


def page(entries: list[Entry], title: str = "Judges and people") -> str:
    """The leaderboard as one self-contained HTML page."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.globals |= {
        "cell": cell,
        "trivial_cell": trivial_cell,
        "published_cell": published_cell,
        "bar": _bar,
        "curve": lambda s: charts.reliability([Bin(**b) for b in s["bins"]]),
        "speed": _speed,
        "means": group_means,
        "mean_text": mean_text,
        "is_part": is_part,
        "beside": beside,
        "row_sets": row_sets,
        "number": figure_cell,
        "spread": _spread,
        "spread_cells": spread_cells,
        "share": lambda found: charts.interval(Figure(**found), 0.0, 1.0),
        "all_sets": all_sets(),
    }
    files = resources.files("mene")
    template = environment.from_string(
        (files / "bench" / "leaderboard" / "page.html").read_text("utf-8")
    )
    sets = [s for s in all_sets().values() if any(s.name in e.sets for e in entries)]
    missing = [s for s in shown_sets(ELEVEN, entries) if s not in sets]
    return template.render(
        title=title,
        entries=entries,
        sets=sets,
        missing=missing,
        published=published_of(sets + missing),
        notes=named().notes,
        theirs=[one for one in sets + missing if has_published(one)],
        sources=sources_of(published()),
        marks=MARKS,
        style=Markup((files / "report" / "page.css").read_text("utf-8")),
    )


def _bar(entry: dict[str, Any], one: BenchSet) -> Markup:
    """Draw a figure on a line from 0 (correlations: -1) to 1, with a mark at the best trivial answer."""
    figure = figure_of(entry)
    if figure is None:
        return Markup("")
    mark = max([entry["chance"], *entry["baselines"].values()])
    return charts.interval(figure, 0.0 if one.is_accuracy else -1.0, 1.0, mark)


def _spread(found: dict[str, Any], one: BenchSet) -> Markup:
    """Draw the figures under all formats as dots on one line, with a lighter bar from the worst to the best."""
    values = [f["value"] for f in found["figures"].values() if f["value"] is not None]
    low = 0.0 if one.is_accuracy else -1.0
    said = f"{len(values)} formats, {min(values):.2f} to {max(values):.2f}" if values else ""
    return charts.strip(values, low, 1.0, said)


def _speed(entries: list[Entry]) -> Markup:
    """Draw mean accuracy over rows per second (log scale), for the accuracy sets that all judges ran completely."""
    names = [
        n for n, s in all_sets().items() if s.is_accuracy and all(is_whole(e, s) for e in entries)
    ]
    points = []
    for e in entries:
        values = [e.sets[n]["figure"]["value"] for n in names]
        if e.rate and values and None not in values:
            points.append((e.name, e.rate, sum(values) / len(values)))
    if not points:
        return Markup("")
    wide, high, left, top, right, foot = 440, 300, 44, 24, 426, 250
    low = min(-1, *(int(log10(r)) - 1 for _, r, _ in points))
    most = max(2, *(int(log10(r)) + 1 for _, r, _ in points))

    def x(rate: float) -> float:
        return left + (right - left) * (log10(rate) - low) / (most - low)

    def y(value: float) -> float:
        return foot - (foot - top) * value

    parts = []
    for tick in (0, 0.25, 0.5, 0.75, 1):
        parts.append(f'<line class="grid" x1="{left}" x2="{right}" y1="{y(tick)}" y2="{y(tick)}"/>')
        parts.append(f'<text class="end" x="{left - 8}" y="{y(tick) + 4}">{tick:g}</text>')
    for power in range(low, most + 1):
        parts.append(f'<text x="{x(10**power):.1f}" y="{foot + 16}">{10**power:g}</text>')
    for name, rate, value in points:
        parts.append(f'<circle class="dot" cx="{x(rate):.1f}" cy="{y(value):.1f}" r="5"/>')
        parts.append(f'<text x="{x(rate):.1f}" y="{y(value) - 10:.1f}">{escape(name)}</text>')
    parts.append(
        f'<text class="name" x="{(left + right) / 2}" y="{foot + 36}">rows a second</text>'
    )
    said = f"Mean figure of {len(names)} sets against speed"
    return Markup(
        f'<svg class="chart" viewBox="0 0 {wide} {high}" role="img" aria-label="{said}">'
        f"{''.join(parts)}</svg>"
    )
