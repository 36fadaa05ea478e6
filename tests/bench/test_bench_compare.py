"""Paired comparisons against independent numbers."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from mene.bench.compare import compare
from mene.bench.data import Item
from mene.bench.sets import all_sets
from mene.criterion import Criterion, load_criterion
from mene.sample import Sample
from mene.scale import Scale
from mene.verdict import Verdict

FAITHFUL = load_criterion("faithfulness")


def items(count: int) -> list[Item]:
    return [
        Item(Sample(id=str(i)), FAITHFUL, "Yes" if i % 2 else "No", f"g{i}", "", "part")
        for i in range(count)
    ]


def verdicts(rows: list[Item], share: float, seed: int) -> dict[str, Verdict]:
    lot = random.Random(seed)
    other = {"Yes": "No", "No": "Yes"}
    return {
        r.sample.id: Verdict(
            id=r.sample.id, label=str(r.gold) if lot.random() < share else other[str(r.gold)]
        )
        for r in rows
    }


def test_a_better_judge_is_told_from_an_equal_one() -> None:
    rows = items(400)
    one = all_sets()["infobench"]
    good, bad, same = verdicts(rows, 0.8, 1), verdicts(rows, 0.6, 2), verdicts(rows, 0.8, 3)
    clear = compare(one, rows, ("good", good), ("bad", bad), resamples=500)
    unclear = compare(one, rows, ("good", good), ("same", same), resamples=500)
    assert clear.test == "mcnemar"
    assert clear.p < 0.001
    assert clear.difference.low is not None
    assert clear.difference.low > 0.1
    assert unclear.p > 0.05
    balanced = compare(all_sets()["felm"], rows, ("good", good), ("bad", bad), resamples=500)
    assert balanced.test == "sign flips"
    assert balanced.p < 0.01


def test_few_groups_prove_nothing() -> None:
    """Three documents of 20 rows, all better judged by one of two: 60 rows, and no claim."""
    rows = [replace(item, group=f"g{i % 3}") for i, item in enumerate(items(60))]
    good, bad = verdicts(rows, 1, 1), verdicts(rows, 0, 2)
    found = compare(all_sets()["felm"], rows, ("good", good), ("bad", bad))
    assert (found.difference.value, found.difference.low, found.p) == (1, None, 1)
    more = [replace(item, group=f"g{i % 6}") for i, item in enumerate(rows)]
    found = compare(all_sets()["felm"], more, ("good", good), ("bad", bad))
    assert found.difference.low is not None
    assert found.p == pytest.approx(2 / 2**6)  # what six coins can do


def test_scores_are_compared_by_their_correlations() -> None:
    lot = np.random.default_rng(0)
    gold = lot.uniform(1, 5, 100)
    one = all_sets()["mt_bench"]
    likert = Criterion(question="How good is it?", scale=Scale.likert())
    rows = [
        Item(Sample(id=str(i)), likert, float(g), f"g{i}", "", "part") for i, g in enumerate(gold)
    ]

    def said(noise: float) -> dict[str, Verdict]:
        scores = gold + lot.normal(0, noise, 100)
        return {str(i): Verdict(id=str(i), label="3", score=s) for i, s in enumerate(scores)}

    good, bad, same = said(0.3), said(3), said(0.3)
    clear = compare(one, rows, ("good", good), ("bad", bad))
    assert clear.test == "t" and clear.p < 0.001
    r = [np.corrcoef([v.score for v in x.values()], gold)[0, 1] for x in (good, bad)]
    assert clear.difference.value == pytest.approx(r[0] - r[1])
    assert 0 < clear.difference.low < clear.difference.value  # type: ignore[operator]
    assert compare(one, rows, ("good", good), ("same", same)).p > 0.05
