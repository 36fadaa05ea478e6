"""All judges of a results folder side by side, with published figures marked as such, as Markdown.

Reads only ``summary.json``, ``robustness.json`` and ``bias.json``; the page is in ``leaderboard_page.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from mene.bench.run import read_summary
from mene.bench.sets import BenchSet, all_sets
from mene.errors import UsageError
from mene.library.yaml_file import read_yaml
from mene.stats.intervals import Figure

KINDS = ("absolute", "classification", "pairwise")
ELEVEN = "selene11"
NEEDED = {"figure", "rows", "complete", "failed", "chance", "baselines", "rows_per_second"}


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
        said = [read_summary(home / name) for name in files]
        first = next(whole for whole in said if whole)
        for mode in sorted({mode for whole in said if whole for mode in whole["runs"]}):
            sets, robustness, bias = (w["runs"].get(mode, {}) if w else {} for w in said)
            for name, one in sets.items():
                if lacks := NEEDED - one.keys():
                    raise UsageError(
                        f"{home / files[0]}: {name} has no {', '.join(sorted(lacks))}; delete the file and run "
                        "`mene bench` again: the verdicts are kept"
                    )
            warning = first.get("warning", "")
            found.append(Entry(first["judge"], mode, sets, robustness, bias, warning))
    return found


@cache
def published() -> dict[str, Any]:
    """``published.yaml``: sources, notes, and figures by judge and set."""
    text = (resources.files("mene") / "bench" / "published.yaml").read_text("utf-8")
    return read_yaml(text, "published.yaml")


def figure_of(entry: dict[str, Any] | None, key: str = "figure") -> Figure | None:
    """A figure back from JSON."""
    found = entry and entry.get(key)
    return Figure(**found) if found else None


def shown_sets(suite: str, entries: list[Entry]) -> list[BenchSet]:
    """The sets of a suite as they are on the board: a published set that a judge has run is there for its part."""
    known, found = all_sets(), {}
    ran = {name for e in entries for name in e.sets}
    for one in known.values():
        if suite not in one.suites:
            continue
        whole = known.get(one.stands_for or "")
        if whole is not None and whole.name in ran:
            found[whole.name] = whole
            if one.name not in ran:
                continue
        found[one.name] = one
    return list(found.values())


def is_part(one: BenchSet, entries: list[Entry]) -> bool:
    """Whether the figures of a set, of any judge (of none: whatever is at hand), are of a part of the published one."""
    ran = [e.sets[one.name] for e in entries if one.name in e.sets]
    return any(one.is_part(said.get("set_rows")) for said in ran) if ran else one.is_part()


def group_means(entry: Entry) -> dict[str, tuple[float, int, int]]:
    """Kind -> (plain mean over sets, how many, how many the report has); only of whole published sets, all judged."""
    found = {}
    for kind in KINDS:
        every = [s for s in shown_sets(ELEVEN, [entry]) if s.kind == kind]
        whole = [s for s in every if is_whole(entry, s) and not is_part(s, [entry])]
        have = [entry.sets[s.name]["figure"]["value"] for s in whole]
        have = [v for v in have if v is not None]
        if have:
            found[kind] = (
                sum(have) / len(have),
                len(have),
                len({s.stands_for or s.name for s in every}),
            )
    return found


def is_whole(entry: Entry, one: BenchSet) -> bool:
    """Whether all rows at hand of a set were judged, not a sample."""
    return one.name in entry.sets and bool(entry.sets[one.name]["complete"])


def beside(entry: dict[str, Any]) -> str:
    """``ECE 0.20, orders agree 40 %``; empty where a judge gives no probabilities."""
    ece, consistency = figure_of(entry, "ece"), figure_of(entry, "consistency")
    if ece is None or ece.value is None:
        return ""
    agree = consistency and consistency.value
    return f"ECE {ece.value:.2f}" + ("" if agree is None else f", orders agree {100 * agree:.0f} %")


def mean_text(mean: tuple[float, int, int]) -> str:
    """``mean 0.600 of 2 of 6 sets…``; never to be read as a published mean."""
    value, have, every = mean
    return f"mean {value:.3f} of the {have} of {every} sets that are whole, by mene's protocols; not a published mean"


def cell(entry: dict[str, Any] | None, one: BenchSet, other_rows: bool = False) -> str:
    """``48.4 [42.1, 55.2]``; correlations as fractions; a sample is marked with its size.

    Args:
        other_rows: judges were not all asked the same rows: say how many.
    """
    figure = figure_of(entry)
    if entry is None or figure is None:
        return "not run"
    if figure.value is None:
        return "undefined"
    text = figure_cell(entry["figure"], not one.is_accuracy)
    if not entry["complete"]:
        together = ", parts together" if entry.get("thin") else ""  # see `sampled.py`
        text += f" (sample of {entry['rows']:,}{together})"
    elif other_rows:
        text += f" ({entry['rows']:,} rows)"
    if entry["failed"]:
        text += f" ({entry['failed']} failed)"
    return text


def row_sets(entries: list[Entry], one: BenchSet) -> list[dict[str, Any]]:
    """One entry for every choice of rows that judges were asked of a set; one if all were asked the same."""
    found: dict[Any, dict[str, Any]] = {}
    for e in entries:
        if one.name in e.sets:
            said = e.sets[one.name]
            found.setdefault(said.get("rows_key") or said["rows"], said)
    return list(found.values())


def trivial_cell(entries: list[Entry], one: BenchSet) -> str:
    """Chance and baselines, on each choice of rows that judges were asked."""
    ran = row_sets(entries, one)
    texts = []
    for said in ran:
        rows = f"; {said['rows']:,} rows" if len(ran) > 1 else ""
        values = [said["chance"], *said["baselines"].values()]
        if one.is_accuracy:
            text = " / ".join(f"{100 * v:.1f}" for v in values)
            texts.append(f"{text} ({' / '.join(['chance', *said['baselines']])}{rows})")
        else:
            texts.append(f"0 / {values[1]:.2f} (chance / length{rows})")
    return ", ".join(texts)


def published_cell(judge: dict[str, Any], one: BenchSet, entries: list[Entry]) -> str:
    """A published figure, marked where what mene measures is not the same set or protocol."""
    name = one.stands_for or one.name
    value = judge.get(name)
    if value is None:
        return ""
    text = f"{100 * value:.1f}" if one.is_accuracy else f"{value:.2f}"
    marks = {
        "†": one.kind == "pairwise" and one.name != "rewardbench",
        "‡": is_part(one, entries),
        "§": name == "llm_aggrefact",
    }
    return text + "".join(mark for mark, here in marks.items() if here)


MARKS = (
    "† published is, as far as is known, the better of both orders; mene gives their mean",
    "‡ mene has only a part of the published set: not comparable",
    "§ published is accuracy; mene gives balanced accuracy",
)


def sources_of(judges: dict[str, Any]) -> list[str]:
    """Where the published figures of each judge are from."""
    given, lines = published()["sources"], []
    for name, judge in judges.items():
        text = f"{name}: {given[judge['source']]}"
        other: dict[str, list[str]] = {}
        for one, source in judge.get("sources", {}).items():
            other.setdefault(given[source], []).append(all_sets()[one].title)
        text += "".join(f"; {', '.join(sets)}: {source}" for source, sets in other.items())
        lines.append(text)
    return lines


def markdown(entries: list[Entry]) -> str:
    """The leaderboard as Markdown tables."""
    given = published()
    lines: list[str] = []
    for suite, heading in (
        (ELEVEN, "The 11 benchmarks"),
        ("domain", "Domain"),
        ("extended", "Extended"),
    ):
        sets = shown_sets(suite, entries)
        if not any(s.name in e.sets for e in entries for s in sets):
            continue
        theirs = {} if suite == "extended" else given["judges"]
        head = ["benchmark", "metric", *(e.name for e in entries), "trivial", *theirs]
        lines += [f"## {heading}", "", _row(head), _row(["---"] * len(head))]
        for one in sets:
            other_rows = len(row_sets(entries, one)) > 1
            lines.append(
                _row(
                    [
                        one.title,
                        one.metric.replace("_", " "),
                        *(cell(e.sets.get(one.name), one, other_rows) for e in entries),
                        trivial_cell(entries, one),
                        *(published_cell(j, one, entries) for j in theirs.values()),
                    ]
                )
            )
        lines.append("")
        if suite == ELEVEN:
            for entry in entries:
                for kind, mean in group_means(entry).items():
                    lines.append(f"- {entry.name}, {kind}: {mean_text(mean)}")
            lines.append("")
        lines += _more(entries, sets)
    if any(s.name in e.sets for e in entries for s in all_sets().values()):
        lines += ["## Published figures", ""]
        lines += [f"- {line}" for line in (*MARKS, *given["notes"], *sources_of(given["judges"]))]
        lines.append("")
    lines += _probes(entries)
    for entry in entries:
        if entry.warning and entry.warning not in lines:
            lines += [entry.warning, ""]
    return "\n".join(lines)


def _more(entries: list[Entry], sets: list[BenchSet]) -> list[str]:
    """What is measured beside the main figure, where there is any of it."""
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
    return [_row(head), _row(["---"] * len(head)), *lines, ""]


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
