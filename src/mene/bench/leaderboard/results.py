"""Reading a folder of results: each judge's ``summary.json``, ``robustness.json`` and ``bias.json``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mene.bench.run import read_summary
from mene.bench.sets import BenchSet, all_sets
from mene.errors import UsageError
from mene.stats.intervals import Figure

KINDS = ("absolute", "classification", "pairwise")
ELEVEN = "selene11"
NEEDED = {"figure", "rows", "complete", "failed", "chance", "baselines", "rows_per_second"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One judge in one mode: figures by set.

    Attributes:
        sets: set -> figures, as in ``summary.json``.
        robustness, bias: set -> the probe's findings, as in ``robustness.json`` and ``bias.json``.
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
        """Rows per second over all sets with a measurement."""
        known = [
            (s["rows"], s["rows_per_second"]) for s in self.sets.values() if s["rows_per_second"]
        ]
        seconds = sum(rows / rate for rows, rate in known)
        return sum(rows for rows, _ in known) / seconds if seconds else None


def read_results(folder: Path) -> list[Entry]:
    """Return every judge and mode under ``folder``.

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


def figure_of(entry: dict[str, Any] | None, key: str = "figure") -> Figure | None:
    """Return a figure from its JSON form."""
    found = entry and entry.get(key)
    return Figure(**found) if found else None


def shown_sets(suite: str, entries: list[Entry]) -> list[BenchSet]:
    """Return a suite's sets as shown: a published set that a judge has run replaces its partial version."""
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
    """Return whether any judge's figures (without judges: the available file) cover only a part of the published set."""
    ran = [e.sets[one.name] for e in entries if one.name in e.sets]
    return any(one.is_part(said.get("set_rows")) for said in ran) if ran else one.is_part()


def is_whole(entry: Entry, one: BenchSet) -> bool:
    """Return whether all available rows of a set were judged, not a sample."""
    return one.name in entry.sets and bool(entry.sets[one.name]["complete"])


def group_means(entry: Entry) -> dict[str, tuple[float, int, int]]:
    """Return kind -> (plain mean over sets, number of sets, number in the report); only of complete published sets."""
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


def row_sets(entries: list[Entry], one: BenchSet) -> list[dict[str, Any]]:
    """Return one entry per different selection of rows that judges were asked; one if all were asked the same."""
    found: dict[Any, dict[str, Any]] = {}
    for e in entries:
        if one.name in e.sets:
            said = e.sets[one.name]
            found.setdefault(said.get("rows_key") or said["rows"], said)
    return list(found.values())
