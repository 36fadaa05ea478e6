"""What is made beside the sets' own points: of every kind what the recipe says, originals included."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

from mene import Criterion, Sample, Scale
from mene.curate.make.extra import Extra
from mene.curate.raw.sources import Point
from mene.curate.stage import Stage
from mene.recipe import Data

CRITERION = Criterion(name="supported", question="Is it supported?", scale=Scale.binary())


def rows(source: str, count: int) -> list[Point]:
    found = []
    for n in range(count):
        good = n % 2 == 0
        sample = Sample(
            id=str(n),
            context=f"The tower number {n // 2} of {source} is a high one.",
            response=f"Tower {n // 2} is {'high' if good else 'low'} and old.",
        )
        label = "Yes" if good else "No"
        point = Point(sample, CRITERION, label, f"{n // 2}", f"{source}/{n}", source)
        found.append(
            replace(point, order=("No", "Yes"), versus=("Which?",), perturb=("negation", "tone"))
        )
    return found


def made(chosen: list[Point], **keys: dict[str, int]) -> tuple[list[Point], dict[str, Stage]]:
    data = Data.model_validate({"sources": {"hanna": 1}, **keys})
    extra, stages = Extra(data, 0, lambda point: "train"), defaultdict(Stage)
    for source, count in (("big", 400), ("small", 20)):
        extra.make(source, rows(source, count))
    return extra.take(chosen, stages), stages


def test_sets_give_equal_parts_as_far_as_they_have_them() -> None:
    added, stages = made([], derive={"pairs": 60})
    assert len(added) == 60
    assert stages["derive.pairs"].made == {"big": 50, "small": 10}
    assert {p.criterion.name for p in added} == {"better"}


def test_an_original_comes_along_once_and_only_where_it_is_missing() -> None:
    added, stages = made([], perturb={"negation": 40})
    changed = [p for p in added if p.id.endswith("~negation") and p.label == "No"]
    originals = [p for p in added if "~" not in p.id]
    assert {p.id.removesuffix("~negation") for p in changed} == {p.id for p in originals}
    assert stages["perturb.originals"].made.total() == len(originals) == len(changed) > 5
    again, _ = made(rows("big", 400) + rows("small", 20), perturb={"negation": 40})
    assert not [p for p in again if "~" not in p.id]


def test_style_dresses_single_responses_and_the_worse_of_a_pair() -> None:
    added, _ = made([], perturb={"tone": 80})
    assert {p.criterion.name for p in added} == {"supported", "better"}
    assert len({p.name for p in added}) == len(added) == 80
