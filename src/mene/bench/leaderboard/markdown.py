"""All judges of a results folder side by side, with published figures marked as such, as Markdown tables."""

from __future__ import annotations

from mene.bench.leaderboard.cells import cell, figure_cell, mean_text, spread_cells, trivial_cell
from mene.bench.leaderboard.published import (
    MARKS,
    named,
    published,
    published_cell,
    published_of,
    sources_of,
)
from mene.bench.leaderboard.results import (
    ELEVEN,
    Entry,
    group_means,
    is_part,
    row_sets,
    shown_sets,
)
from mene.bench.sets import BenchSet, all_sets, suite_names

HEADINGS = {ELEVEN: "The 11 benchmarks"}  # headings of suites; others use the suite's name


def markdown(entries: list[Entry]) -> str:
    """The leaderboard as Markdown tables."""
    lines = [line for suite in suite_names() for line in _suite(entries, suite)]
    if any(s.name in e.sets for e in entries for s in all_sets().values()):
        told = (*MARKS, *named().notes, *sources_of(published()))
        lines += ["## Published figures", "", *(f"- {line}" for line in told), ""]
    lines += _robustness(entries) + _bias(entries)
    for entry in entries:
        if entry.warning and entry.warning not in lines:
            lines += [entry.warning, ""]
    return "\n".join(lines)


def _suite(entries: list[Entry], suite: str) -> list[str]:
    """Return the table of a suite's sets, if a judge has run one of them."""
    sets = shown_sets(suite, entries)
    if not any(s.name in e.sets for e in entries for s in sets):
        return []
    others = published_of(sets)
    head = ["benchmark", "metric", *(e.name for e in entries), "trivial", *others]
    lines = [f"## {HEADINGS.get(suite, suite.capitalize())}", "", *_head(head)]
    for one in sets:
        other_rows = len(row_sets(entries, one)) > 1
        lines.append(
            _row(
                [
                    one.title,
                    one.metric.replace("_", " "),
                    *(cell(e.sets.get(one.name), one, other_rows) for e in entries),
                    trivial_cell(entries, one),
                    *(published_cell(o, one, is_part(one, entries)) for o in others.values()),
                ]
            )
        )
    lines.append("")
    if suite == ELEVEN:
        for entry in entries:
            for kind, mean in group_means(entry).items():
                lines.append(f"- {entry.name}, {kind}: {mean_text(mean)}")
        lines.append("")
    return lines + _more(entries, sets)


def _more(entries: list[Entry], sets: list[BenchSet]) -> list[str]:
    """Return the further figures besides the main one, if any."""
    lines = []
    for one in sets:
        for e in entries:
            said = e.sets.get(one.name)
            if said is None:
                continue
            longer = said.get("longer")
            cells = [
                figure_cell(said.get("ece")),
                figure_cell(said.get("consistency")),
                figure_cell(said.get("both_right")),
                f"{100 * longer[0]:.0f} / {100 * longer[1]:.0f}" if longer else "",
                ", ".join(f"{k}: {figure_cell(f)}" for k, f in said.get("others", {}).items()),
            ]
            if any(cells):
                lines.append(_row([one.title, e.name, *cells]))
    if not lines:
        return []
    head = ["benchmark", "judge", "ECE", "orders agree", "right in both orders"]
    head += ["longer wins: judge / gold", "further figures"]
    return [*_head(head), *lines, ""]


def _robustness(entries: list[Entry]) -> list[str]:
    head = ["judge", "benchmark", "rows", "mean of formats", "sd", "widest gap", "labels that flip"]
    lines: list[str] = []
    for e in entries:
        for name, found in e.robustness.items():
            one = all_sets()[name]
            cells = [*spread_cells(found, one), figure_cell(found["flip_rate"])]
            lines.append(_row([e.name, one.title, str(found["rows"]), *cells]))
    return ["## Robustness to the prompt's format", "", *_head(head), *lines, ""] if lines else []


def _bias(entries: list[Entry]) -> list[str]:
    head = ["judge", "benchmark", "rows", "change"]
    head += ["labels that flip", "towards it", "away from it"]
    lines: list[str] = []
    for e in entries:
        for name, found in e.bias.items():
            for sway in found["changes"]:
                cells = [figure_cell(sway[key]) for key in ("flips", "towards", "away")]
                title, rows = all_sets()[name].title, str(found["rows"])
                lines.append(_row([e.name, title, rows, sway["kind"], *cells]))
    return ["## Bias", "", *_head(head), *lines, ""] if lines else []


def _head(cells: list[str]) -> list[str]:
    return [_row(cells), _row(["---"] * len(cells))]


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(c.replace("|", "\\|") for c in cells) + " |"
