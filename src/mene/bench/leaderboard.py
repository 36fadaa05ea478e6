"""All judges of a results folder side by side, with published figures marked as such, as Markdown.

Reads only ``summary.json``, ``robustness.json`` and ``bias.json``; the page is in ``leaderboard_page.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from mene.bench.run import read_summary
from mene.bench.sets import BenchSet, all_sets
from mene.errors import UsageError
from mene.report.agreement import Figure

KINDS = ("absolute", "classification", "pairwise")
ELEVEN = "selene11"


@dataclass(frozen=True, slots=True)
class Entry:
    """One judge in one mode: figures by set.

    Attributes:
        sets: set -> figures, as ``summary.json`` has them.
        robustness, bias: set -> the probe's findings, as ``robustness.json`` and ``bias.json`` have them.
    """

    judge: str
    mode: str
    sets: dict[str, dict[str, Any]]
    robustness: dict[str, dict[str, Any]]
    bias: dict[str, dict[str, Any]]
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
    files = ("summary.json", "robustness.json", "bias.json")
    homes = sorted({path.parent for name in files for path in folder.glob(f"*/{name}")})
    if not homes:
        raise UsageError(f"{folder}: no results here; run `mene bench --output {folder}` first")
    found = []
    for home in homes:
        said = [read_summary(p) if (p := home / name).exists() else None for name in files]
        first = next(whole for whole in said if whole)
        for mode in sorted({mode for whole in said if whole for mode in whole["runs"]}):
            sets, robustness, bias = (w["runs"].get(mode, {}) if w else {} for w in said)
            warning = first.get("warning", "")
            found.append(Entry(first["judge"], mode, sets, robustness, bias, warning))
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
        have = [entry.sets[s.name]["figure"]["value"] for s in every if is_whole(entry, s)]
        have = [v for v in have if v is not None]
        if have:
            found[kind] = sum(have) / len(have), len(have), len(every)
    return found


def is_whole(entry: Entry, one: BenchSet) -> bool:
    """Whether all rows at hand of a set were judged, not a sample."""
    return one.name in entry.sets and bool(entry.sets[one.name]["complete"])


def cell(entry: dict[str, Any] | None, one: BenchSet) -> str:
    """``48.4 [42.1, 55.2]``; correlations as fractions; a sample is marked with its size."""
    figure = figure_of(entry)
    if entry is None or figure is None:
        return "not run"
    if figure.value is None:
        return "undefined"
    text = figure_cell(entry["figure"], not one.is_accuracy)
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
    lines += _probes(entries)
    for entry in entries:
        if entry.warning and entry.warning not in lines:
            lines += [entry.warning, ""]
    return "\n".join(lines)


def figure_cell(figure: dict[str, Any] | None, correlation: bool = False) -> str:
    """``48.4 [42.1, 55.2]``; correlations as fractions."""
    if not figure or figure["value"] is None:
        return ""
    size, digits = (1, 2) if correlation else (100, 1)
    text = f"{figure['value'] * size:.{digits}f}"
    if figure["low"] is None or figure["high"] is None:
        return text
    return f"{text} [{figure['low'] * size:.{digits}f}, {figure['high'] * size:.{digits}f}]"


def _probes(entries: list[Entry]) -> list[str]:
    lines: list[str] = []
    sets = all_sets()
    if any(e.robustness for e in entries):
        head = [
            "judge",
            "benchmark",
            "rows",
            "mean of formats",
            "sd",
            "widest gap",
            "labels that flip",
        ]
        lines += ["## Robustness to the prompt's format", "", _row(head), _row(["---"] * len(head))]
        for e in entries:
            for name, found in e.robustness.items():
                size, digits = (100, 1) if sets[name].is_accuracy else (1, 2)
                numbers = (found["mean"], found["sd"], found["widest"])
                cells = [f"{n * size:.{digits}f}" for n in numbers]
                flips = figure_cell(found["flip_rate"])
                lines.append(_row([e.name, sets[name].title, str(found["rows"]), *cells, flips]))
        lines.append("")
    if any(e.bias for e in entries):
        head = [
            "judge",
            "benchmark",
            "rows",
            "change",
            "labels that flip",
            "towards it",
            "away from it",
        ]
        lines += ["## Bias", "", _row(head), _row(["---"] * len(head))]
        for e in entries:
            for name, found in e.bias.items():
                for sway in found["changes"]:
                    cells = [figure_cell(sway[key]) for key in ("flips", "towards", "away")]
                    title, rows = sets[name].title, str(found["rows"])
                    lines.append(_row([e.name, title, rows, sway["kind"], *cells]))
        lines.append("")
    return lines


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(c.replace("|", "\\|") for c in cells) + " |"
