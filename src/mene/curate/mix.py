"""The data mix: as many points of each set as the recipe says, with balanced labels, and the split into train and dev.

All draws are by hash of the drawn item, so that they depend only on the seed: not on the order of rows, nor on which other sets
there are.
"""

from __future__ import annotations

import hashlib
import heapq
from collections import defaultdict
from collections.abc import Iterable
from functools import cache
from typing import Literal

from mene.curate.raw.sources import Point
from mene.template import Template, load_template

Side = Literal["train", "dev"]


def rank(*parts: object) -> float:
    """Return a number from 0 to 1, pseudo-random but always the same for the same parts."""
    text = "\0".join(str(part) for part in parts)
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def place_of(point: Point, seed: int) -> float:
    """Return the position of a point's group in the order of the split, 0 to 1; the first are the development rows.

    A generator that combines texts of several raw rows uses neighbours in this order: whatever the share of development rows,
    they are on one side, except a few at the border.
    """
    return rank(seed, "side", point.group)


def side_of(point: Point, development: float, seed: int) -> Side:
    """Return train or dev, the same for all rows of a group."""
    return "dev" if place_of(point, seed) < development else "train"


def fits(point: Point, longest: int) -> bool:
    """Return whether the sample's text has at most ``longest`` characters."""
    texts = (getattr(point.sample, name) for name in point.criterion.shown)
    return sum(len(text) for text in texts if text) <= longest


def balanced(points: Iterable[Point], most: int, seed: int) -> list[Point]:
    """Return at most ``most`` points of one set, balanced over its tasks and, in each task, over its labels.

    Holds only these points in memory. A rare label contributes all its rows, and its share goes to the others, but no label
    gets
    more than three times the rows of the (lower) median label (with two labels, of the rarer one): a judge must not learn to
    guess.
    """
    # Task -> label -> heap of the points with the lowest ranks; of two with the same id, the first one is kept.
    kept: dict[str, dict[str, list[tuple[float, str, int, Point]]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for number, point in enumerate(points):
        heap = kept[point.task][point.label]
        entry = (-rank(seed, "mix", point.id, point.task), point.id, -number, point)
        if len(heap) < most:
            heapq.heappush(heap, entry)
        elif entry > heap[0]:
            heapq.heapreplace(heap, entry)
    chosen: list[Point] = []
    sizes = {task: sum(map(len, labels.values())) for task, labels in kept.items()}
    for task, labels in sorted(kept.items()):
        rows = {label: sorted(heap, reverse=True) for label, heap in labels.items()}
        share = shares(most, sizes)[task]
        counts = shares(share, {label: len(found) for label, found in rows.items()})
        middle = sorted(counts.values())[(len(counts) - 1) // 2]
        ceiling = 3 * max(1, middle)
        for label, count in sorted(counts.items()):
            chosen += [entry[-1] for entry in rows[label][: min(count, ceiling)]]
    return chosen


def shares(total: int, sizes: dict[str, int]) -> dict[str, int]:
    """Divide ``total`` equally; shares that cannot be filled go to the others."""
    left, found = total, {}
    for place, name in enumerate(sorted(sizes, key=lambda name: (sizes[name], name))):
        found[name] = min(sizes[name], left // (len(sizes) - place))
        left -= found[name]
    return found


def wrong_label(point: Point, seed: int) -> str:
    """Return another label: for a score, half the time a neighbour, else any other; for classes, any other.

    On a scale of more than eleven labels, it is at least a tenth of the scale away: 71 is not wrong where people said 72.
    """
    labels = point.criterion.scale.labels
    others = [label for label in labels if label != point.label]
    if point.criterion.scale.kind == "ordinal":
        at, step = labels.index(point.label), max(1, (len(labels) - 1) // 10)
        others = [label for i, label in enumerate(labels) if abs(i - at) >= step]
        if rank(seed, "near", point.id) < 0.5:
            others = [labels[i] for i in (at - step, at + step) if 0 <= i < len(labels)]
    return others[int(rank(seed, "wrong", point.id) * len(others))]


def template_of(point: Point, weights: dict[str, float], seed: int) -> Template:
    """Draw a point's template by weight; the same for a whole group, so that its prompts begin alike."""
    left = rank(seed, "template", point.group, point.criterion.name) * sum(weights.values())
    for name, weight in weights.items():
        left -= weight
        if left < 0:
            return _loaded(name)
    return _loaded(next(reversed(weights)))


_loaded = cache(load_template)
