"""All judges of a results folder side by side, with published figures marked as such.

Markdown for a README, one self-contained HTML page for people. Reads only ``summary.json`` files.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape

from mene.bench.run import read_summary
from mene.bench.sets import BenchSet, all_sets
from mene.errors import UsageError
from mene.report import charts
from mene.report.agreement import Bin, Figure

KINDS = ("absolute", "classification", "pairwise")
ELEVEN = "selene11"


@dataclass(frozen=True, slots=True)
class Entry:
    """One judge in one mode: figures by set, as ``summary.json`` has them."""

    judge: str
    mode: str
    sets: dict[str, dict[str, Any]]
    warning: str

    @property
    def name(self) -> str:
        return f"{self.judge}, {self.mode}"

    @property
    def rate(self) -> float | None:
        """Rows per second over all sets it was measured on."""
        known = [
            (s["rows"], s["rows_per_second"]) for s in self.sets.values() if s["rows_per_second"]
        ]
        seconds = sum(rows / rate for rows, rate in known)
        return sum(rows for rows, _ in known) / seconds if seconds else None


def read_results(folder: Path) -> list[Entry]:
    """Every judge and mode under ``folder``.

    Raises:
        UsageError: no results there, or a broken ``summary.json``.
    """
    paths = sorted(folder.glob("*/summary.json"))
    if not paths:
        raise UsageError(f"{folder}: no results here; run `mene bench --output {folder}` first")
    found = []
    for path in paths:
        whole = read_summary(path)
        for mode, sets in sorted(whole["runs"].items()):
            found.append(Entry(whole["judge"], mode, sets, whole.get("warning", "")))
    return found


@cache
def published() -> dict[str, Any]:
    """``published.yaml``: sources, notes, and figures by judge and set."""
    text = (resources.files("mene") / "bench" / "published.yaml").read_text("utf-8")
    return yaml.safe_load(text)


def figure_of(entry: dict[str, Any] | None, key: str = "figure") -> Figure | None:
    """A figure back from JSON."""
    found = entry and entry.get(key)
    return Figure(**found) if found else None


def group_means(entry: Entry) -> dict[str, tuple[float, int, int]]:
    """Kind -> (plain mean over the sets at hand, how many, how many the report has); whole sets only."""
    found = {}
    for kind in KINDS:
        every = [s for s in all_sets().values() if ELEVEN in s.suites and s.kind == kind]
        have = [entry.sets[s.name]["figure"]["value"] for s in every if _whole(entry, s)]
        have = [v for v in have if v is not None]
        if have:
            found[kind] = sum(have) / len(have), len(have), len(every)
    return found


def _whole(entry: Entry, one: BenchSet) -> bool:
    return one.name in entry.sets and bool(entry.sets[one.name]["complete"])


def cell(entry: dict[str, Any] | None, one: BenchSet) -> str:
    """``48.4 [42.1, 55.2]``; correlations as fractions; a sample is marked with its size."""
    figure = figure_of(entry)
    if entry is None or figure is None:
        return "not run"
    if figure.value is None:
        return "undefined"
    size, digits = (100, 1) if one.is_accuracy else (1, 2)
    text = f"{figure.value * size:.{digits}f}"
    if figure.low is not None and figure.high is not None:
        text += f" [{figure.low * size:.{digits}f}, {figure.high * size:.{digits}f}]"
    if not entry["complete"]:
        text += f" (sample of {entry['rows']})"
    if entry["failed"]:
        text += f" ({entry['failed']} failed)"
    return text


def trivial_cell(entries: list[Entry], one: BenchSet) -> str:
    """Chance and baselines, from the first judge that ran the whole set (or any)."""
    ran = sorted(
        (e.sets[one.name] for e in entries if one.name in e.sets), key=lambda s: not s["complete"]
    )
    if not ran:
        return ""
    if not one.is_accuracy:
        return f"length {ran[0]['baselines']['length']:.2f}"
    names = " / ".join(["chance", *ran[0]["baselines"]])
    values = " / ".join(f"{100 * v:.1f}" for v in [ran[0]["chance"], *ran[0]["baselines"].values()])
    return f"{values} ({names})"


def published_cell(judge: dict[str, Any], one: BenchSet) -> str:
    """A published figure, marked where what mene measures is not the same set or protocol."""
    value = judge.get(one.stands_for or one.name)
    if value is None:
        return ""
    text = f"{100 * value:.1f}" if one.is_accuracy else f"{value:.2f}"
    best = one.kind == "pairwise" and one.name != "rewardbench"
    return text + ("†" if best else "") + ("‡" if one.partial else "")


MARKS = (
    "† the better of both orders was published; mene gives their mean",
    "‡ mene has only a part of the published set: not comparable",
)


def markdown(entries: list[Entry]) -> str:
    """The leaderboard as Markdown tables."""
    given = published()
    lines: list[str] = []
    for suite, heading in (
        (ELEVEN, "The 11 benchmarks"),
        ("domain", "Domain"),
        ("extended", "Extended"),
    ):
        sets = [s for s in all_sets().values() if suite in s.suites]
        if not any(s.name in e.sets for e in entries for s in sets):
            continue
        theirs = {} if suite == "extended" else given["judges"]
        head = ["benchmark", "metric", *(e.name for e in entries), "trivial", *theirs]
        lines += [f"## {heading}", "", _row(head), _row(["---"] * len(head))]
        for one in sets:
            lines.append(
                _row(
                    [
                        one.title,
                        one.metric.replace("_", " "),
                        *(cell(e.sets.get(one.name), one) for e in entries),
                        trivial_cell(entries, one),
                        *(published_cell(j, one) for j in theirs.values()),
                    ]
                )
            )
        lines.append("")
        if suite == ELEVEN:
            lines += [f"- {mark}" for mark in MARKS]
            lines += [f"- {note}" for note in given["notes"]]
            lines += [f"- {name}: {given['sources'][j['source']]}" for name, j in theirs.items()]
            lines.append("")
            for entry in entries:
                for kind, (mean, have, every) in group_means(entry).items():
                    lines.append(
                        f"- {entry.name}, {kind}: mean {mean:.3f} of {have} of {every} sets"
                        + ("" if have == every else "; not a published mean")
                    )
            lines.append("")
    for entry in entries:
        if entry.warning and entry.warning not in lines:
            lines += [entry.warning, ""]
    return "\n".join(lines)


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(c.replace("|", "\\|") for c in cells) + " |"


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
    }
    files = resources.files("mene")
    template = environment.from_string((files / "bench" / "leaderboard.html").read_text("utf-8"))
    sets = [s for s in all_sets().values() if any(s.name in e.sets for e in entries)]
    missing = [
        s
        for s in all_sets().values()
        if ELEVEN in s.suites and s.name not in {x.name for x in sets}
    ]
    return template.render(
        title=title,
        entries=entries,
        sets=sets,
        missing=missing,
        published=published(),
        marks=MARKS,
        style=Markup((files / "report" / "page.css").read_text("utf-8")),
    )


def _bar(entry: dict[str, Any], one: BenchSet) -> Markup:
    """The figure on a line from 0 (correlations: -1) to 1; the mark is the best trivial answer."""
    figure = figure_of(entry)
    if figure is None:
        return Markup("")
    mark = max([entry["chance"], *entry["baselines"].values()])
    return charts.interval(figure, 0.0 if one.is_accuracy else -1.0, 1.0, mark)


def _speed(entries: list[Entry]) -> Markup:
    """Mean accuracy over the accuracy sets that all ran whole, against rows per second (log scale)."""
    from math import log10

    names = [
        n for n, s in all_sets().items() if s.is_accuracy and all(_whole(e, s) for e in entries)
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
