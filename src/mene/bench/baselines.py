"""Trivial baselines, which answer without reading the rows: figures mean nothing without them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mene.bench.data import Item
from mene.bench.protocol import Column
from mene.bench.sets import BenchSet


def baselines(one: BenchSet, rows: Sequence[Item]) -> tuple[float, dict[str, Column]]:
    """Return the expected chance level, and columns of baseline answers.

    ``majority``: the most common gold label; ``longer``: the longer response, half credit for equal lengths; ``length``: the
    response's length as its score.
    """
    nothing = np.zeros(len(rows))
    if not one.is_accuracy:
        length = np.array([float(len(r.sample.response or "")) for r in rows])
        return 0.0, {"length": Column(nothing, length)}
    golds = [str(r.gold) for r in rows]
    most = max(dict.fromkeys(golds), key=golds.count)
    found = {"majority": Column(np.array([g == most for g in golds], np.float64), nothing)}
    if one.kind == "pairwise":
        credit = np.zeros(len(rows))
        for i, row in enumerate(rows):
            a, b = len(row.sample.response_a or ""), len(row.sample.response_b or "")
            decided = row.gold in ("A", "B")
            credit[i] = 0.5 * decided if a == b else float(row.gold == ("A" if a > b else "B"))
        found["longer"] = Column(credit, nothing)
    labels = len(rows[0].criterion.scale.labels)
    classes = len(set(golds)) if one.metric == "balanced_accuracy" else labels
    return 1 / classes, found
