"""Generators of points by name. Each is in a file of its own; a recipe names them under ``data.make``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from mene.curate.make import arithmetic, code, javascript
from mene.curate.sources import Point


@dataclass(frozen=True, slots=True)
class Maker:
    """A generator.

    Attributes:
        points: ``(seed, count)`` -> at most ``count`` points, the same for the same seed. Their ``source`` is the
            generator's name, and no group of theirs is on both sides of a split.
        tasks: what they ask, for ``mene curate --list``.
        why: why their labels are right.
    """

    points: Callable[[int, int], Iterable[Point]]
    tasks: str
    why: str


MAKERS: dict[str, Maker] = {
    "arithmetic": Maker(arithmetic.points, arithmetic.TASKS, arithmetic.WHY),
    "code": Maker(code.points, code.TASKS, code.WHY),
    "javascript": Maker(javascript.points, javascript.TASKS, javascript.WHY),
}
