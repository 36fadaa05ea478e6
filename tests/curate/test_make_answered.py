"""Made requests: the response of each point answers just as much as its label says."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from statistics import mean

import pytest
from made_reading import told

from mene.curate.make import answered
from mene.curate.make.answered import load_lists
from mene.curate.make.documents import load_language
from mene.curate.make.edits import words
from mene.curate.raw.rows import read_source
from mene.curate.raw.sources import Point, find_source


@pytest.fixture(scope="module")
def points(small_raw) -> list[Point]:
    return list(answered.points(0, 900, small_raw, lambda text: None))


def kind(point: Point) -> str:
    return point.id.split("/")[1].partition("-")[0]


def share(point: Point, response: str, raw_answers: dict[str, set[str]]) -> float:
    """How much of the request a response answers, read from the two alone."""
    asked = point.sample.instruction or ""
    if kind(point) == "list":
        lists = load_lists()
        wanted = {
            name: 2 + ("two", "three", "four", "five").index(number)
            for number, name in re.findall(rf"(two|three|four|five) ({'|'.join(lists)})", asked)
        }
        given = {
            n: sum(f" {i} " in f" {' '.join(words(response))} " for i in map(_plain, lists[n]))
            for n in wanted
        }
        assert all(given[name] <= number for name, number in wanted.items())
        return sum(given.values()) / sum(wanted.values())
    if kind(point) == "document":
        shares = set()
        for way in told(response, "en"):
            facts = [fact for fact, _ in way]
            home = next(k for k in load_language("en").kinds if facts[0] in k.facts)
            questions = {f for f in home.facts if re.search(_any(f.ask), asked)}
            shares.add(len(questions & set(facts)) / len(questions))
        assert len(shares) == 1
        return shares.pop()
    parts = [text for text in raw_answers if text in asked.casefold()]
    answers = {text: any(a in response for a in raw_answers[text]) for text in parts}
    # A question may be part of another one: the longest two are the request.
    longest = sorted(parts, key=len, reverse=True)[:2]
    return sum(answers[text] for text in longest) / 2


def _plain(text: str) -> str:
    return " ".join(words(text))


def _any(text: str) -> str:
    return ".+?".join(map(re.escape, re.split(r"\{\w+\}", text)))


def test_labels_say_how_much_is_answered(points, small_raw) -> None:
    answers: dict[str, set[str]] = defaultdict(set)
    for row in read_source(small_raw, find_source("evouna_qa_correctness"), lambda text: None):
        if row.label == "Yes":
            question = (row.sample.instruction or "").strip().casefold()
            answers[question].add(row.sample.response or "")
    assert {kind(point) for point in points} == {"document", "list", "raw"}
    for point in points:
        sample = point.sample
        match point.criterion.name:
            case "answered":
                found = share(point, sample.response or "", answers)
                assert (point.label == "Yes") is (found == 1), sample
            case "coverage":
                found = share(point, sample.response or "", answers)
                assert point.label == str(round(1 + 4 * found)), sample
            case _:
                first, second = (
                    share(point, text or "", answers)
                    for text in (sample.response_a, sample.response_b)
                )
                assert first != second
                assert (point.label == "A") is (first > second), sample


def test_length_does_not_tell(points) -> None:
    sizes: dict[str, list[int]] = defaultdict(list)
    longer = []
    for point in points:
        if point.criterion.name == "answered":
            sizes[point.label].append(len(point.sample.response or ""))
        if point.criterion.name == "better":
            both = len(point.sample.response_a or ""), len(point.sample.response_b or "")
            longer.append((both[0] > both[1]) is (point.label == "A"))
    # Of 150 each; of all rows of the raw set they are within 1 %.
    assert mean(sizes["Yes"]) == pytest.approx(mean(sizes["No"]), rel=0.1)
    assert 0.4 <= mean(longer) <= 0.6


def test_same_seed_same_points_and_each_kind_of_thing_stands_once(points, small_raw) -> None:
    assert list(answered.points(0, 50, small_raw, lambda text: None)) == points[:50]
    assert len({point.name for point in points}) == 900
    items = Counter(item for items in load_lists().values() for item in items)
    assert items.most_common(1)[0][1] == 1
