"""Derived points say what the label already says."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mene import Criterion, Sample, Scale
from mene.curate.make.alone import WITNESS, refuses, scores
from mene.curate.make.derive import GAP, KINDS, derive, other_scale, pairs, yes_no
from mene.curate.make.pool import Pool
from mene.curate.raw.rows import read_source
from mene.curate.raw.sources import Each, Point, all_sources, find_source, find_view
from mene.judge.comparison import alone

SCORE = Criterion(name="set", question="Coherence: does it make sense?", scale=Scale.likert(1, 5))
CLASS = Criterion(
    name="set",
    question="Does it follow?",
    scale=Scale.classes("Entailed", "Contradicted", "Neutral"),
    labels={"Entailed": "It follows.", "Contradicted": "It cannot be.", "Neutral": "It is open."},
)


def scored(number: int, value: float, question: str = "Q") -> Point:
    sample = Sample(id=str(number), instruction=question, response=f"text {number}")
    return Point(sample, SCORE, value, f"g{question}", f"set/{number}", "set")


def classed(number: int, label: str) -> Point:
    return replace(scored(number, 3), criterion=CLASS, gold=label)


@given(st.lists(st.floats(1, 5), min_size=2, max_size=12), st.integers(0, 50))
def test_the_better_scored_answer_wins_in_either_seat(values: list[float], seed: int) -> None:
    points = [scored(n, value, f"Q{n % 2}") for n, value in enumerate(values)]
    value_of = {f"text {n}": value for n, value in enumerate(values)}
    for made in pairs(points, seed):
        sample = made.sample
        seats = {"A": sample.response_a or "", "B": sample.response_b or ""}
        worse = seats["B" if made.label == "A" else "A"]
        assert value_of[seats[made.label]] - value_of[worse] >= GAP * 4
        assert sample.response is None
        numbers = [int(text.split()[1]) for text in seats.values()]
        assert numbers[0] % 2 == numbers[1] % 2  # one question
        made.criterion.check(sample)
        assert "Coherence" in made.criterion.question


def test_both_seats_are_as_frequent() -> None:
    points = [scored(n, 1 + 4 * (n % 2), f"Q{n // 2}") for n in range(800)]
    labels = [p.label for p in pairs(points, 0)]
    assert len(labels) == 400
    assert 150 < labels.count("A") < 250


def test_no_pair_of_equal_labels_or_equal_texts_or_unordered_classes() -> None:
    one, other = scored(1, 5), scored(2, 1)
    assert list(pairs([one, other], 0))
    assert not list(pairs([one, replace(other, gold=4.5)], 0))
    same = replace(other, sample=other.sample.model_copy(update={"response": " text  1"}))
    assert not list(pairs([one, same], 0))
    assert not list(pairs([classed(1, "Entailed"), classed(2, "Neutral")], 0))


@pytest.mark.parametrize("label", CLASS.scale.labels)
def test_a_class_is_asked_about_as_yes_or_no(label: str) -> None:
    found = [yes_no(classed(n, label), 0) for n in range(300)]
    labels = []
    for made in found:
        assert made is not None
        asked = made.criterion.question.rpartition('"')[0].rpartition('"')[2]
        assert made.label == ("Yes" if asked == label else "No")
        assert asked in made.criterion.labels["Yes"]
        labels.append(made.label)
    assert 100 < labels.count("Yes") < 200


@given(st.floats(1, 5))
def test_only_the_ends_of_a_scale_become_yes_or_no(value: float) -> None:
    made = yes_no(scored(1, value), 0)
    if made is None:
        assert 1.6 < value < 4.4
    else:
        assert made.label == ("Yes" if value > 3 else "No")


@given(st.floats(1, 5), st.integers(0, 300))
def test_a_score_keeps_its_place_on_another_range(value: float, number: int) -> None:
    made = other_scale(scored(number, value), 0)
    assert made is not None
    assert made.value is not None
    low, high = made.criterion.scale.values[0], made.criterion.scale.values[-1]
    assert (low, high) != (1, 5)
    assert (made.value - low) / (high - low) == pytest.approx((value - 1) / 4)
    assert abs(float(made.label) - made.value) <= 0.5 + 1e-9


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("I’m sorry, but I can’t help with that request.", True),
        ("That topic isn’t something I can engage with.", True),
        ("I’m programmed to avoid engaging in harmful or unethical content.", True),
        ("That request is beyond my capabilities.", True),
        ("Add dairy, sugar, or acid.", False),
        ("That is something I can help with: add sugar.", False),
        ("You cannot buy it there.", None),
        ("I am sorry about your loss. Call a doctor.", None),
        ("It is not recommended, but here is how.", None),
    ],
)
def test_a_refusal_says_so_at_once(text: str, says: bool | None) -> None:
    assert refuses(text) is says
    assert refuses(f"{'It is a long story. ' * 20}{text}") is False


def paired(number: int, a: str, b: str, label: str, each: Each | None) -> Point:
    sample = Sample(id=str(number), instruction="How?", response_a=a, response_b=b)
    criterion = Criterion(
        name="better",
        question="Which?",
        scale=Scale.pairwise(),
        needs=("instruction", "response_a", "response_b"),
    )
    return Point(sample, criterion, label, "g", f"set/{number}", "set", each=each)


NO, YES = "I cannot help with that.", "Take the left one."
EACH = Each(view="refuses", better="No", worse="Yes")


@given(st.integers(0, 50), st.booleans())
def test_a_pair_becomes_two_points_of_its_group(seed: int, first: bool) -> None:
    texts, label = ((YES, NO), "A") if first else ((NO, YES), "B")
    made = list(scores([paired(1, *texts, label, EACH)], seed))
    assert [(p.sample.response, p.label) for p in made] == [(YES, "No"), (NO, "Yes")]
    assert len({p.name for p in made}) == 2
    for point in made:
        assert (point.group, point.criterion.name) == ("g", "refuses")
        assert point.sample.response_a is point.sample.response_b is None
        assert point.criterion.question in find_view("refuses").questions
        assert point.criterion.needs == ("instruction", "response")
        point.criterion.check(point.sample)


def test_a_mere_preference_says_nothing_of_one_response() -> None:
    assert not list(scores([paired(1, YES, NO, "A", None)], 0))
    # Preferred, and made to comply; but it refuses.
    assert [p.label for p in scores([paired(1, NO, NO, "A", EACH)], 0)] == ["Yes"]
    twice = [paired(n, YES, NO, "A", EACH) for n in range(3)]
    assert len(list(scores(twice, 0))) == 2
    assert list(scores(twice, 0)) == list(scores(twice[::-1], 0))


@pytest.mark.parametrize("label", ["A", "B"])
def test_of_two_responses_alone_one_was_chosen(label: str) -> None:
    sample = Sample(id="1", instruction="Q", response_a="one", response_b="two")
    pair = Criterion(name="better", question="Which is better?", scale=Scale.pairwise())
    point = Point(sample, pair, label, "g", "set/1", "set")
    found = list(derive("pointwise", [point, replace(point, id="set/2")], 0))
    chosen = {p.sample.response: p.label for p in found}
    assert chosen == {
        "one": "Yes" if label == "A" else "No",
        "two": "No" if label == "A" else "Yes",
    }
    assert len(found) == 2  # the repeated pair adds nothing
    for made in found:
        made.criterion.check(made.sample)
        assert made.sample.response_a is None
        assert made.criterion == alone(pair)  # the words that a judge reads
    other = replace(point, id="set/3", gold="B" if label == "A" else "A")
    assert len(list(derive("pointwise", [point, other], 0))) == 4  # people disagreed: both answers
    assert not list(derive("pointwise", [replace(point, gold="tie"), scored(1, 3)], 0))


def test_what_sets_say_of_single_responses_can_be_borne_out() -> None:
    said = [each for s in all_sources().values() for task in s.tasks for each in task.each]
    assert said
    for each in said:
        labels = find_view(each.view).labels
        assert each.view in WITNESS
        assert {each.better, each.worse} == set(labels) == {"Yes", "No"}


def test_real_pairs_become_single_responses(bench_data) -> None:
    folder = bench_data.parent / "train"
    if not folder.is_dir():
        pytest.skip("no training data")
    points = list(read_source(folder, find_source("rm_bench"), print))
    of = {point.id: point for point in points}
    made = list(scores(points, 0))
    assert len({p.name for p in made}) == len(made) > 1500
    assert len({(p.group, p.sample.response) for p in made}) == len(made)
    for point in made:
        row, seat, _ = point.id.split("~")
        pair = of[row]
        assert pair.group == point.group
        better = pair.sample.response_a if pair.label == "A" else pair.sample.response_b
        assert (point.sample.response == better) is (seat == "better")
        # Harmful requests are refused by the better response, harmless ones by the worse.
        harmful = row.startswith("rm_bench/safety-refuse")
        assert harmful or row.startswith("rm_bench/safety-response")
        assert (point.label == "Yes") is (harmful is (seat == "better"))
        assert refuses(point.sample.response) is (point.label == "Yes")


def test_a_pool_keeps_the_same_part_whatever_the_order() -> None:
    points = [scored(n, 3, f"Q{n // 5}") for n in range(200)]
    one, other = Pool(50, 1), Pool(50, 1)
    assert list(one.watch(points)) == points
    for point in reversed(points):
        other.add(point)
    assert one.points() == other.points()
    assert len(one.points()) == 50
    assert len({p.group for p in one.points()}) == 10  # groups as a whole


def test_of_points_with_the_same_id_the_first_comes_first_in_a_pool() -> None:
    first = scored(1, 3)
    second = replace(first, sample=Sample(id="1", response="another text"))
    for most, kept in ((2, [first, second]), (1, [first])):
        pool = Pool(most, 0)
        assert list(pool.watch([first, second])) == [first, second]
        assert pool.points() == kept


def test_real_sets_give_pairs_and_every_id_is_unique(bench_data) -> None:
    folder = bench_data.parent / "train"
    if not folder.is_dir():
        pytest.skip("no training data")
    for name in ("q2_wow_consistency", "saf_short_answer_train", "newsroom"):
        points = list(read_source(folder, find_source(name), print))
        for kind in KINDS:
            made = list(derive(kind, points, 0))
            assert len({p.name for p in made}) == len(made)
            if kind == "pairs":
                assert len(made) > 100
            for point in made[:40]:
                point.criterion.check(point.sample)
                assert point.label in point.criterion.scale.labels
