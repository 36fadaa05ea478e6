"""The mix: labels in equal parts, groups on one side, the same whatever the order."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from mene import Criterion, Sample, Scale
from mene.curate.mix import balanced, fits, rank, shares, side_of
from mene.curate.raw.sources import Point

YES_NO = Criterion(name="one", question="?", scale=Scale.binary())
SCORE = Criterion(name="two", question="?", scale=Scale.likert(1, 5))


def point(
    number: int, label: str, criterion: Criterion = YES_NO, group: int | None = None
) -> Point:
    sample = Sample(id=str(number), response="r" * 10, instruction="i" * 5)
    mark = str(number if group is None else group)
    return Point(sample, criterion, label, mark, str(number), "set")


def test_labels_come_in_equal_parts_and_tasks_too() -> None:
    points = [point(n, "Yes" if n % 10 else "No") for n in range(1000)]
    points += [point(n, str(1 + n % 5), SCORE) for n in range(1000)]
    kept = balanced(points, 200, 0)
    assert Counter((p.criterion.name, p.label) for p in kept) == {
        ("one", "Yes"): 50,
        ("one", "No"): 50,
        **{("two", str(n)): 20 for n in range(1, 6)},
    }


def test_a_rare_label_gives_all_it_has_and_holds_the_others_down() -> None:
    points = [point(n, "Yes" if n % 100 else "No") for n in range(1000)]
    kept = Counter(p.label for p in balanced(points, 500, 0))
    assert kept == {"No": 10, "Yes": 30}


@given(st.permutations(list(range(40))), st.integers(1, 60))
def test_the_order_of_the_rows_does_not_matter(order: list[int], most: int) -> None:
    points = [point(n, "Yes" if n % 3 else "No") for n in range(40)]
    kept = balanced([points[n] for n in order], most, 7)
    assert [p.id for p in kept] == [p.id for p in balanced(points, most, 7)]
    assert len(kept) <= most


@given(st.integers(0, 100), st.dictionaries(st.text(), st.integers(0, 50), min_size=1))
def testshares_never_exceed_what_is_there(total: int, sizes: dict[str, int]) -> None:
    found = shares(total, sizes)
    assert all(found[name] <= size for name, size in sizes.items())
    assert sum(found.values()) == min(total, sum(sizes.values()))


def test_of_rows_with_the_same_id_the_first_is_kept() -> None:
    first = point(1, "Yes")
    second = replace(first, sample=Sample(id="1", response="another text"))
    assert balanced([first, second], 2, 0) == [first, second]
    assert balanced([first, second, second], 1, 0) == [first]


def test_a_group_stands_on_one_side() -> None:
    points = [point(n, "Yes", group=n // 10) for n in range(5000)]
    sides = {p.group: side_of(p, 0.2, 0) for p in points}
    assert all(side_of(p, 0.2, 0) == sides[p.group] for p in points)
    assert 60 < sum(side == "dev" for side in sides.values()) < 140
    assert {side_of(p, 0.0, 0) for p in points} == {"train"}


def test_only_what_the_judge_sees_counts_as_length() -> None:
    assert fits(point(1, "Yes"), 15)
    assert not fits(point(1, "Yes"), 14)
    bare = YES_NO.model_copy(update={"uses": ()})
    assert fits(point(1, "Yes", bare), 10)


def test_ranks_are_even() -> None:
    ranks = [rank(0, n) for n in range(2000)]
    assert all(0 <= r < 1 for r in ranks)
    assert 0.47 < sum(ranks) / 2000 < 0.53
    assert random.Random(0).random() != rank(0)
