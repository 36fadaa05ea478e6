"""The two robustness probes of a judge: the same rows in many formats, and rows with superficial changes.

Both keep ledgers like a benchmark, ``<set>.formats.jsonl`` and ``<set>.bias.jsonl``, with one section per format or change, and
write ``robustness.json`` and ``bias.json``.
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from mene.bench.data import Item
from mene.bench.probes.bias import CHANGES, Sway, changed, position, sway
from mene.bench.probes.formats import (
    BASE,
    FORMATS,
    OTHER_MODE,
    Format,
    Spread,
    spread,
    template_of,
    turned_back,
)
from mene.bench.run import by_protocol, collect, read_summary, slug, summary_path
from mene.bench.score import score
from mene.bench.sets import BenchSet
from mene.criterion import Criterion
from mene.engines.remote.api import only_decides
from mene.events import Events
from mene.files import write_whole
from mene.judge.comparison import Question, comparison_for
from mene.judge.judge import Judge
from mene.judge.preset import Mode
from mene.stats.intervals import Figure
from mene.template import Template
from mene.verdict import Compare, Verdict

SETS = ("hhh_alignment", "felm", "vicuna_bench")  # one of each kind, with short rows


def formats_of(
    items: list[Item], template: Template, compare: Compare = "together", writes: bool = True
) -> list[tuple[Format, list[Item]]]:
    """Return the formats that apply to a set, with its rows in each.

    Formats without effect are left out: a criterion without label descriptions has no shorter form, ``template`` (the judge's
    own) may equal a format's, and a ``pointwise`` judge reads neither the meaning of A and B nor whether ties exist. So is
    critique mode for a judge that does not write (``writes``).
    """

    def read(criterion: Criterion | None, item: Item) -> tuple[Question, ...]:
        return comparison_for(criterion, compare).ask(item.sample, criterion) if criterion else ()

    found = []
    for form in FORMATS:
        if form.name == OTHER_MODE and not writes:
            continue
        criteria = [form.change(item.criterion) for item in items]
        same = form.name not in (BASE, OTHER_MODE)
        same &= all(
            read(c, item) == read(item.criterion, item)
            for c, item in zip(criteria, items, strict=True)
        )
        same &= _shown(template_of(form, template), items[0]) == _shown(template, items[0])
        if not same and all(c is not None for c in criteria):
            asked = [replace(i, criterion=c) for i, c in zip(items, criteria, strict=True) if c]
            found.append((form, asked))
    return found


def formats_for(judge: Judge, items: list[Item]) -> list[tuple[Format, list[Item]]]:
    """Return ``formats_of`` for a judge."""
    preset = judge.preset
    found = formats_of(items, judge.template, judge.compare, preset.writes)
    if only_decides(preset.engine):  # such servers get no prompt whose format could change
        return [(form, asked) for form, asked in found if form.template is None]
    return found


def other_mode(mode: Mode) -> Mode:
    """Return verdict mode for critique mode, and vice versa."""
    return "critique" if mode == "verdict" else "verdict"


def _shown(template: Template, item: Item) -> object:
    return template.render(item.criterion, item.sample, critique=False), template.cue


def probe_formats(
    judge: Judge, one: BenchSet, items: list[Item], results: Path, events: Events
) -> Spread:
    """Judge one set in every format that applies to it."""
    judge = by_protocol(judge, one)
    ledger = results / slug(judge.name) / f"{one.name}.formats.jsonl"
    figures: dict[str, Figure] = {}
    verdicts: dict[str, dict[str, Verdict]] = {}
    original = {item.sample.id: item.criterion for item in items}
    for form, asked in formats_for(judge, items):
        mode = other_mode(judge.mode) if form.name == OTHER_MODE else judge.mode
        other = judge.using(template=template_of(form, judge.template), mode=mode)
        name = f"{one.name}, {form.name}, {judge.mode}"
        given, _ = collect(other, name, asked, ledger, events)
        verdicts[form.name] = {
            key: turned_back(form, verdict, original[key]) for key, verdict in given.items()
        }
        figures[form.name] = score(one, items, verdicts[form.name]).figure
    return spread(one, items, figures, verdicts)


def probe_bias(
    judge: Judge, one: BenchSet, items: list[Item], results: Path, events: Events
) -> list[Sway]:
    """Judge one set unchanged and with every superficial change."""
    ledger = results / slug(judge.name) / f"{one.name}.bias.jsonl"
    judge = by_protocol(judge, one)
    before, _ = collect(
        judge,
        f"{one.name}, {BASE}, {judge.mode}",
        items,
        ledger,
        events,
    )
    found = [position(items, before)] if one.both_orders and judge.compare != "pointwise" else []
    for kind in CHANGES:
        pairs = [changed(item, kind) for item in items]
        dressed = [item for item, _ in pairs]
        targets = {item.sample.id: target for item, target in pairs}
        name = f"{one.name}, {kind}, {judge.mode}"
        after, _ = collect(judge, name, dressed, ledger, events)
        found.append(sway(kind, items, before, after, targets))
    return found


def write_probe(
    results: Path, judge: Judge, kind: str, found: dict[str, Any], rows: dict[str, int]
) -> Path:
    """Write findings into the judge's ``robustness.json`` or ``bias.json``; other sets and modes are kept.

    Args:
        found: set -> a `Spread` (robustness) or a list of `Sway` (bias).
        rows: set -> rows asked.
    """
    path = summary_path(results, judge.name, kind)
    whole = read_summary(path) or {"judge": judge.name, "runs": {}}
    for name, findings in found.items():
        said = (
            asdict(findings)
            if isinstance(findings, Spread)
            else {"changes": [asdict(sway) for sway in findings]}
        )
        whole["runs"].setdefault(judge.mode, {})[name] = {"rows": rows[name], **said}
    whole["warning"] = judge.preset.warning.strip()
    write_whole(path, json.dumps(whole, indent=1, ensure_ascii=False))
    return path
