"""Published figures of other judges: stored with each benchmark, and collected by judge here.

They are shown beside our own, and marked where set or protocol differ.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from mene.bench.sets import BenchSet, all_sets
from mene.errors import UsageError, nearest
from mene.library.check import parse

FILE = "published.yaml"
MARKS = (
    "† published is, as far as is known, the better of both orders; mene gives their mean",
    "‡ mene has only a part of the published set: not comparable",
    "§ published is accuracy; mene gives balanced accuracy",
)


class Named(BaseModel):
    """``published.yaml``: what the published figures of several benchmarks share.

    Attributes:
        sources: key -> paper, as shown to readers.
        notes: on all figures.
        judges: name -> key of the default source of its figures.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    sources: dict[str, str]
    notes: tuple[str, ...] = ()
    judges: dict[str, str] = Field(default_factory=dict)


@dataclass(slots=True)
class Others:
    """The published figures of one judge.

    Attributes:
        figures: set -> figure.
        source: default source; empty = every set names its own.
        elsewhere: set -> source of its figure, if not the default.
    """

    figures: dict[str, float] = field(default_factory=dict)
    source: str = ""
    elsewhere: dict[str, str] = field(default_factory=dict)


@cache
def named() -> Named:
    """Return the contents of ``published.yaml``."""
    return parse(Named, (Path(__file__).parent / FILE).read_text("utf-8"), FILE)


@cache
def published() -> dict[str, Others]:
    """Return every judge with a published figure: those of ``published.yaml`` in its order, then the others.

    Raises:
        UsageError: as for ``by_judge``.
    """
    return by_judge(named(), all_sets().values())


def by_judge(common: Named, sets: Iterable[BenchSet]) -> dict[str, Others]:
    """The figures of benchmarks, by judge.

    Raises:
        UsageError: a judge or source is neither in ``common`` nor described where it is used.
    """
    found = {
        judge: Others(source=_source(common, key, f"{FILE}: judges.{judge}"))
        for judge, key in common.judges.items()
    }
    for one in sets:
        for judge, said in one.published.items():
            where = f"{one.name}.yaml: published.{judge}"
            if judge not in found:
                if not said.source:
                    raise UsageError(
                        f"{where}: no judge of {FILE}{nearest(judge, common.judges)}; name it there, or give the figure "
                        "a source: {figure: 0.5, source: PAPER}"
                    )
                found[judge] = Others()
            other = found[judge]
            other.figures[one.name] = said.figure
            if said.source:
                other.elsewhere[one.name] = _source(common, said.source, where)
    return found


def _source(common: Named, text: str, where: str) -> str:
    """Return a source by its key, or in words."""
    if text in common.sources:
        return common.sources[text]
    if " " in text.strip():
        return text
    raise UsageError(
        f'{where}: no source "{text}" in {FILE}{nearest(text, common.sources)}; name it there, or give the paper in words'
    )


def published_cell(judge: Others, one: BenchSet, is_part: bool) -> str:
    """Return a published figure, marked where our set or protocol differs.

    Args:
        is_part: our figures are for a part of the published set.
    """
    whole = _whole(one)
    value = judge.figures.get(whole.name)
    if value is None:
        return ""
    text = f"{100 * value:.1f}" if one.is_accuracy else f"{value:.2f}"
    marks = {"†": one.both_orders, "‡": is_part, "§": whole.published_metric == "accuracy"}
    return text + "".join(mark for mark, here in marks.items() if here)


def has_published(one: BenchSet) -> bool:
    """Return whether a figure was published for the set, or for the one that it is a part of."""
    return bool(_whole(one).published)


def published_of(sets: Iterable[BenchSet]) -> dict[str, Others]:
    """Return the published judges for a table of these sets: those of ``published.yaml`` if any of them has a figure here, and
    others with a figure here."""
    here = {_whole(one).name for one in sets if has_published(one)}
    return {
        judge: others
        for judge, others in published().items()
        if here and (judge in named().judges or here & others.figures.keys())
    }


def _whole(one: BenchSet) -> BenchSet:
    return all_sets().get(one.stands_for or "", one)


def sources_of(judges: dict[str, Others]) -> list[str]:
    """Return the sources of each judge's published figures."""
    lines = []
    for name, judge in judges.items():
        sets: dict[str, list[str]] = {}
        for one, source in judge.elsewhere.items():
            sets.setdefault(source, []).append(all_sets()[one].title)
        texts = [f"{', '.join(titles)}: {source}" for source, titles in sets.items()]
        lines.append(f"{name}: {'; '.join([*filter(None, [judge.source]), *texts])}")
    return lines
