"""Points written one by one: every line is a point, and its length does not give the label away."""

from __future__ import annotations

from collections import Counter, defaultdict
from statistics import mean

from mene.curate.critiques.filter import flaw
from mene.curate.critiques.span import span_of
from mene.curate.make.texts import FOLDER
from mene.curate.make.written import SOURCE, load_items, points
from mene.curate.raw.sources import Point


def everything() -> list[Point]:
    return list(points(0, 10_000))


def test_every_line_becomes_a_point_with_a_label_of_its_scale() -> None:
    files = (FOLDER / SOURCE).glob("*.jsonl")
    lines = sum(len(path.read_text("utf-8").splitlines()) for path in files)
    found = everything()
    assert len(found) == len({point.id for point in found}) == lines > 2000
    for point in found:
        point.criterion.check(point.sample)  # has the fields that are needed
        assert point.label in point.criterion.scale.labels, point.id


def test_an_item_is_one_situation_with_different_labels() -> None:
    for name, lines in load_items().items():
        asked: dict[str, set[str]] = defaultdict(set)
        for line in lines:
            asked[line.get("question", line.get("criterion"))].add(line["label"])
        assert len(lines) > 1, name
        assert "question" in lines[0] or all(len(labels) > 1 for labels in asked.values()), name


def test_labels_are_balanced_and_not_told_by_length() -> None:
    labels: dict[str, Counter[str]] = defaultdict(Counter)
    sizes: dict[tuple[str, str], list[int]] = defaultdict(list)
    for point in everything():
        kind = "own" if point.criterion.in_words else point.criterion.name
        labels[kind][point.label] += 1
        judged = point.sample.response or point.sample.reference or ""
        sizes[kind, point.label].append(len(judged.split()))
    for kind, counts in labels.items():
        if set(counts) == {"Yes", "No"}:
            assert abs(counts["Yes"] - counts["No"]) <= 0.1 * counts.total(), (kind, counts)
            longer = mean(sizes[kind, "Yes"]) / mean(sizes[kind, "No"])
            assert 0.7 < longer < 1.4, (kind, longer)


def test_an_own_question_is_not_answered_by_what_the_context_supports() -> None:
    lines = [line for some in load_items().values() for line in some if "supported" in line]
    yes = [line["supported"] for line in lines if line["label"] == "Yes"]
    assert len(lines) > 600
    assert 0.45 < mean(yes) < 0.55


def test_critiques_can_be_used_and_rest_on_what_is_judged() -> None:
    found = everything()
    for point in found:
        assert flaw(point.critique or "", point.label, point.criterion.scale.labels) is None, (
            point.id
        )
    resting = [span_of(point.critique or "", point) is not None for point in found]
    assert mean(resting) > 0.99
    assert len({point.critique for point in found}) == len(found)


def test_the_same_seed_gives_the_same_points_and_items_stay_together() -> None:
    some = list(points(3, 50))
    assert [p.id for p in some] == [p.id for p in points(3, 50)] != [p.id for p in points(4, 50)]
    groups = [point.group for point in some]
    assert len(set(groups)) == sum(a != b for a, b in zip(groups, ["", *groups], strict=False))
