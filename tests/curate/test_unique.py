"""Repeated points go; versions that differ in the label stay."""

from __future__ import annotations

from dataclasses import replace

from mene import Criterion, Sample, Scale
from mene.curate.clean.unique import exact, key, near
from mene.curate.raw.sources import Point
from mene.curate.stage import Stage

CRITERION = Criterion(name="supported", question="Is it supported?", scale=Scale.binary())
WORDS = [f"word{n}" for n in range(60)]


def point(number: int, response: str, context: str = "", label: str = "Yes") -> Point:
    sample = Sample(id=str(number), response=response, context=context or " ".join(WORDS))
    return Point(sample, CRITERION, label, str(number), str(number), "s")


def changed(place: int) -> str:
    return " ".join("other" if n == place else word for n, word in enumerate(WORDS))


def test_the_same_words_once() -> None:
    stage = Stage()
    rows = [
        point(1, "A cat."),
        point(2, "a  CAT"),
        point(3, "A cat.", "elsewhere"),
        point(4, "Dog"),
    ]
    asked = CRITERION.model_copy(update={"question": "Is all of it supported?"})
    rows.append(replace(rows[0], id="5", criterion=asked))  # another wording of the same question
    assert [p.id for p in exact(rows, map(key, rows), set(), stage)] == ["1", "3", "4"]
    assert stage.dropped == {"exact": 2}
    own = replace(rows[0], source="supported")
    assert key(own) != key(replace(own, criterion=asked))  # a set's own questions differ


def test_the_seats_of_a_pair_do_not_count() -> None:
    criterion = Criterion(name="better", question="Which?", scale=Scale.pairwise())
    sample = Sample(response_a="one", response_b="two")
    pair = Point(sample, criterion, "A", "1", "1", "s")
    assert key(pair) == key(replace(pair, sample=sample.swapped(), gold="B"))


def test_a_word_changed_is_near_unless_the_label_changes_too() -> None:
    stage = Stage()
    rows = [
        point(1, " ".join(WORDS)),
        point(2, changed(0)),
        point(3, changed(30), label="No"),
        point(4, " ".join(reversed(WORDS))),
        point(5, changed(0), context="quite another text that supports the same words"),
    ]
    assert [p.id for p in near(rows, stage)] == ["1", "3", "4", "5"]
    assert stage.dropped == {"near": 1}
    assert [sample["id"] for sample in stage.samples] == ["2"]
