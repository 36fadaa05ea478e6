"""Requests that look like others: whether a response does what is asked can be read from the two alone."""

from __future__ import annotations

import re

import pytest

from mene.curate.make import answered, quoted
from mene.curate.make.edits import words
from mene.curate.make.quoted import EDITS, load_texts
from mene.curate.raw.sources import Point


@pytest.fixture(scope="module")
def points(small_raw) -> list[Point]:
    return list(quoted.points(0, 900, small_raw, lambda text: None))


@pytest.fixture(scope="module")
def right(small_raw) -> dict[str, str]:
    rows = answered.right_answers(small_raw, lambda text: None, 0)
    return {answered.question_of(row): row.sample.response or "" for row in rows}


def kind(point: Point) -> str:
    return point.id.split("/")[1].partition("-")[0]


def does(asked: str, response: str, right: dict[str, str]) -> bool:
    """Whether a response does what is asked, read without the generator."""
    if asked in load_texts()["missing"]:
        return response in load_texts()["asks"]
    question = max((text for text in right if text in asked), key=len)
    if asked == question:
        return response == right[question]
    rest = asked.replace(question, "").replace("Do not answer it.", "")
    [task] = [
        name for name, texts in load_texts()["tasks"].items() if any(t in rest for t in texts)
    ]
    given, own = words(response), words(question)
    match task:
        case "repeated":
            return response == question
        case "capitals":
            return given == own and response == response.upper()
        case "small":
            return given == own and response == response.lower()
        case "counted":
            return re.findall(r"\d+", response) == [str(len(question.split()))]
        case "sorted" | "listed" | "reversed":
            return sorted(given) == sorted(own)
        case _:
            return given == words(question.split()[-1])


def test_the_label_is_what_the_texts_say(points, right) -> None:
    seen = set()
    for point in points:
        asked = point.sample.instruction or ""
        if point.criterion.name == "done":
            assert does(asked, point.sample.response or "", right) is (point.label == "Yes"), asked
            seen.add((kind(point), point.label))
        else:
            both = [point.sample.response_a or "", point.sample.response_b or ""]
            a, b = (does(asked, text, right) for text in both)
            assert (a, b) == ((True, False) if point.label == "A" else (False, True))
            seen.add((kind(point), "pair"))
    assert seen == {(k, w) for k in ("quoted", "continued") for w in ("Yes", "No", "pair")} | {
        ("missing", "pair")
    }


def test_every_task_is_named_and_known(points) -> None:
    assert load_texts()["tasks"].keys() == EDITS.keys()


def test_same_seed_same_points(points, small_raw) -> None:
    again = list(quoted.points(0, 30, small_raw, lambda text: None))
    assert again == points[:30]
    assert len({point.name for point in points}) == len(points)
