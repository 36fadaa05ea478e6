"""Generators by name, one per file; a recipe names them under ``data.make``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from mene.curate.make import (
    answered,
    arithmetic,
    asked,
    code,
    facts,
    javascript,
    quoted,
    safety,
    tempting,
    tools,
    written,
)
from mene.curate.raw.sources import Point


@dataclass(frozen=True, slots=True)
class Maker:
    """A generator.

    Attributes:
        points: ``(seed, count, raw, warn)`` -> at most ``count`` points, the same for the same seed. Their ``source`` is the
            generator's name, and their groups are never split. ``raw`` is the folder of raw sets; ``warn`` is called about
            broken rows there.
        tasks: what they ask, for ``mene curate --list``.
        why: why their labels are right.
        reads: the raw sets that it uses.
    """

    points: Callable[[int, int, Path, Callable[[str], None]], Iterable[Point]]
    tasks: str
    why: str
    reads: tuple[str, ...] = ()


def _alone(points: Callable[[int, int], Iterable[Point]]) -> Callable[..., Iterable[Point]]:
    """Adapt a generator that reads no raw sets."""
    return lambda seed, count, raw, warn: points(seed, count)


MAKERS: dict[str, Maker] = {
    "answered": Maker(answered.points, answered.TASKS, answered.WHY, reads=(answered.RAW,)),
    "arithmetic": Maker(_alone(arithmetic.points), arithmetic.TASKS, arithmetic.WHY),
    "asked": Maker(asked.points, asked.TASKS, asked.WHY, reads=asked.RAW),
    "code": Maker(_alone(code.points), code.TASKS, code.WHY),
    "facts": Maker(_alone(facts.points), facts.TASKS, facts.WHY),
    "javascript": Maker(_alone(javascript.points), javascript.TASKS, javascript.WHY),
    "quoted": Maker(quoted.points, quoted.TASKS, quoted.WHY, reads=(quoted.RAW,)),
    "safety": Maker(safety.points, safety.TASKS, safety.WHY, reads=safety.RAW),
    "tempting": Maker(_alone(tempting.points), tempting.TASKS, tempting.WHY),
    "tools": Maker(_alone(tools.points), tools.TASKS, tools.WHY),
    "written": Maker(_alone(written.points), written.TASKS, written.WHY),
}
