"""Points made from a set besides its own: derived and changed ones, distributed over the sets."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from mene.curate.make.derive import derive, pairs
from mene.curate.make.perturb import STYLE, perturb
from mene.curate.mix import balanced, fits, shares
from mene.curate.raw.sources import Point
from mene.curate.stage import Stage
from mene.recipe import Data


class Extra:
    """Collects candidates per set, then takes as many of every kind as the recipe asks for.

    Args:
        side: returns the side of the split for a point.
    """

    def __init__(self, data: Data, seed: int, side: Callable[[Point], str]) -> None:
        self._data = data
        self._seed = seed
        self._side = side
        # Kind -> set -> points.
        self._found: dict[str, dict[str, list[Point]]] = defaultdict(dict)
        self._originals: dict[str, Point] = {}

    @property
    def wanted(self) -> dict[str, int]:
        """Return stage, by its key in a recipe (``derive.pairs``) -> maximum number of its points."""
        derived = {f"derive.{kind}": most for kind, most in self._data.derive.items()}
        return derived | {f"perturb.{kind}": most for kind, most in self._data.perturb.items()}

    def make(self, source: str, points: list[Point]) -> None:
        """Make all kinds from the points of one set."""
        longest = self._data.longest
        for kind, most in self._data.derive.items():
            fitting = (p for p in derive(kind, points, self._seed) if fits(p, longest))
            self._found[f"derive.{kind}"][source] = balanced(fitting, most, self._seed)
        if not self._data.perturb:
            return
        compared = [p for p in pairs(points, self._seed) if fits(p, longest)]
        for kind, most in self._data.perturb.items():
            changed = points + compared if kind in STYLE else points
            kept = []
            for made in perturb(kind, changed, 2 * most, self._seed, self._side):
                if not fits(made.point, longest):
                    continue
                kept.append(made.point)
                if made.original is not None:
                    self._originals[made.point.id] = made.original
            self._found[f"perturb.{kind}"][source] = balanced(kept, most, self._seed)

    def take(self, chosen: list[Point], stages: dict[str, Stage]) -> list[Point]:
        """Return the points to add to ``chosen``: for every kind, equally many from each set, as far as available.

        Where a changed point has another label than its original, the original is added too: changes must not make one label
        likelier.
        """
        known = {point.name for point in chosen}
        added: list[Point] = []
        for stage, most in self.wanted.items():
            found = self._found[stage]
            parts = shares(most, {source: len(points) for source, points in found.items()})
            for source, points in found.items():
                if not parts[source]:
                    continue
                taken = balanced(points, parts[source], self._seed)
                stages[stage].made[source] += len(taken)
                for point in taken:
                    added.append(point)
                    original = self._originals.get(point.id)
                    if original is not None and original.name not in known:
                        known.add(original.name)
                        stages["perturb.originals"].made[source] += 1
                        added.append(original)
        return added
