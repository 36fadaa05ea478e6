"""Samples of a set: no mean of parts of one row each."""

from __future__ import annotations

import pytest

from mene.bench.compare import compare
from mene.bench.data import Item
from mene.bench.sampled import as_sampled, told
from mene.bench.score import score
from mene.bench.sets import all_sets
from mene.criterion import load_criterion
from mene.sample import Sample
from mene.verdict import Verdict

FAITHFUL, PAIR = load_criterion("faithfulness"), load_criterion("preference")


def rows(part: str, yes: int, no: int, criterion=FAITHFUL) -> list[Item]:
    golds = ["Yes"] * yes + ["No"] * no
    return [
        Item(Sample(id=f"{part}{n}", response_a="x"), criterion, gold, f"{part}{n}", gold, part)
        for n, gold in enumerate(golds)
    ]


def always(answer: str, items: list[Item]) -> dict[str, Verdict]:
    return {i.sample.id: Verdict(id=i.sample.id, label=answer) for i in items}


def test_a_sample_with_parts_of_one_class_is_scored_together() -> None:
    """23 of 30 right came out as 42.4 %: three of the parts had one row."""
    one = all_sets()["llm_aggrefact"]
    whole = [*rows("big", 90, 60), *rows("b", 20, 20), *rows("c", 20, 20)]
    sample = [*rows("big", 15, 13), *rows("b", 1, 0), *rows("c", 0, 1)]
    yes = always("Yes", sample)
    assert score(one, sample, yes).figure.value == pytest.approx((0.5 + 1 + 0) / 3)
    thin = as_sampled(one, sample, whole)
    found = score(thin, sample, yes)
    assert found.figure.value == pytest.approx(0.5)
    assert found.thin == {"b": "0 No, 1 Yes", "c": "1 No, 0 Yes"}
    assert found.parts["big"].value == pytest.approx(0.5)
    assert (found.parts["b"].value, found.parts["b"].n) == (None, 1)
    assert found.others["accuracy"].value == pytest.approx(16 / 30)
    assert "(b: 0 No, 1 Yes; c: 1 No, 0 Yes)" in told(thin)
    assert compare(thin, sample, ("a", yes), ("b", yes)).difference.value == 0


def test_whole_sets_and_large_samples_keep_to_the_protocol() -> None:
    one = all_sets()["llm_aggrefact"]
    small = [*rows("big", 15, 13), *rows("b", 1, 0)]
    assert as_sampled(one, small, small) is one
    large = [*rows("big", 15, 13), *rows("b", 5, 2)]
    assert as_sampled(one, large, [*large, *rows("big", 80, 80)]) is one  # b has no more rows
    assert told(one) == ""
    for name in ("rewardbench", "summeval", "mt_bench"):
        assert as_sampled(all_sets()[name], small[:3], small) is all_sets()[name]


def test_parts_that_do_not_count_stay_out_of_a_sample_that_is_scored_together() -> None:
    one = all_sets()["llmbar"]
    assert one.parts is not None
    whole = [*rows(one.parts[0], 9, 0, PAIR), *rows("natural", 9, 0, PAIR)]
    sample = whole[:2] + whole[-4:]
    thin = as_sampled(one, sample, whole)
    assert thin.thin == {one.parts[0]: "2"}
    right = {i.sample.id: Verdict(label="Yes" if i.part != "natural" else "No") for i in sample}
    assert score(thin, sample, right).figure.value == 1


def test_a_class_with_few_rows_is_said() -> None:
    one = all_sets()["felm"]
    whole = rows("x", 50, 50)
    assert "few rows of a class (1 No, 6 Yes)" in told(as_sampled(one, rows("x", 6, 1), whole))
