"""Made facts: what is right follows from the document, what is wrong does not, and nothing else tells them apart."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from random import Random
from statistics import mean, median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_reading import says, told

from mene import Criterion, Sample
from mene.curate.clean.decontaminate import Index, hashed, leak_of
from mene.curate.critiques.filter import flaw
from mene.curate.make import facts
from mene.curate.make.documents import LANGUAGES, draw_document, load_language
from mene.curate.make.edits import words
from mene.curate.make.facts import of_document
from mene.curate.raw.sources import Point

TESTS = Path(__file__).parent.parent
OBVIOUS = (TESTS / "obvious.jsonl", TESTS / "obvious_languages.jsonl")


def made(seed: int, count: int) -> list[Point]:
    return list(facts.points(seed, count))


@pytest.fixture(scope="module")
def points() -> list[Point]:
    return made(0, 3000)


def language(point: Point) -> str:
    return point.id.partition("/")[2][:2]


def singles(points: list[Point]) -> list[Point]:
    return [point for point in points if point.criterion.name != "better"]


def seats(point: Point) -> tuple[str, str]:
    both = point.sample.response_a or "", point.sample.response_b or ""
    return both if point.label == "A" else both[::-1]


def test_the_same_seed_gives_the_same_points(points) -> None:
    assert made(0, 300) == points[:300]
    assert made(1, 30) != points[:30]
    assert len(points) == len({point.name for point in points}) == 3000


def test_pairs_have_no_critique_of_a_single_response(points) -> None:
    pairs = [point for point in points if point.criterion.name == "better"]
    assert {(point.critique, point.rejected) for point in pairs} == {(None, None)}


def test_right_ones_follow_from_the_document_and_wrong_ones_do_not(points) -> None:
    for point in singles(points)[:600]:
        check(point)


@settings(max_examples=20, deadline=None)
@given(st.integers(min_value=0), st.integers(min_value=0, max_value=10**9))
def test_so_for_any_seed(seed: int, number: int) -> None:
    yes, no, pair = of_document(seed, number)
    check(yes)
    check(no)
    assert seats(pair) == (yes.sample.response, no.sample.response)


def check(point: Point) -> None:
    """The response, read back, against what it is held against."""
    sample = point.sample
    ways = told(sample.response or "", language(point))
    assert ways, sample.response
    shown = sample.context or sample.reference or ""
    supported = any(all(says(shown, said) for _, said in way) for way in ways)
    if point.criterion.name == "correct" and supported:
        # And nothing is missing.
        kind = load_language(language(point)).kinds
        asked = [
            fact
            for one in kind
            for fact in one.facts
            if says(shown, _any(fact.say))
            and re.search(_any(fact.ask), sample.instruction or "", re.I)
        ]
        assert asked
        supported = any(len(way) >= min(2, len(set(asked))) for way in ways)
    assert supported is (point.label == "Yes"), (sample, point.label)


def _any(text: str) -> str:
    return ".+?".join(map(re.escape, re.split(r"\{\w+\}", text)))


def test_many_kinds_in_six_languages(points) -> None:
    assert len(load_language("en").kinds) >= 25
    every = [
        fact for name in LANGUAGES for kind in load_language(name).kinds for fact in kind.facts
    ]
    assert all(fact.slots and fact.tell for fact in every)  # each can be told wrongly
    count = Counter(map(language, points))
    assert set(count) == set(LANGUAGES)
    assert 0.15 < 1 - count["en"] / len(points) < 0.25
    for name in LANGUAGES[1:]:
        asked = {p.criterion.question for p in singles(points) if language(p) == name}
        own = {q for view in load_language(name).views.values() for q in view.questions}
        assert asked & own
        assert asked - own  # in English


def test_every_kind_of_change_is_made() -> None:
    found = Counter()
    for number in range(300):
        draw = Random(number)
        document = draw_document(load_language("en"), draw)
        for fact in document.facts:
            change = document.other(fact, draw)
            assert change is not None
            found[change[0]] += 1
    assert set(found) == {"number", "date", "name", "statement", "roles"}
    assert min(found.values()) > 10


def test_no_trivial_rule_finds_what_is_right(points) -> None:
    ones = singles(points)
    right = [point.label == "Yes" for point in ones]
    sizes = [len(point.sample.response or "") for point in ones]
    halves = [[s for s, r in zip(sizes, right, strict=True) if r is good] for good in (True, False)]
    assert mean(halves[0]) == pytest.approx(mean(halves[1]), rel=0.04)

    def accuracy(guesses: int) -> float:
        share = guesses / len(ones)
        return max(share, 1 - share)

    middle = median(sizes)
    longer = sum((size > middle) is good for size, good in zip(sizes, right, strict=True))
    assert accuracy(longer) <= 0.6
    having: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
    for point, good in zip(ones, right, strict=True):
        having[good].update(set(words(point.sample.response or "")))
    for word in having[True] | having[False]:
        assert accuracy(having[True][word] + right.count(False) - having[False][word]) <= 0.6, word


def test_no_trivial_rule_finds_the_better_one_of_a_pair(points) -> None:
    pairs = [seats(point) for point in points if point.criterion.name == "better"]
    longer = [len(good) > len(bad) for good, bad in pairs if len(good) != len(bad)]
    assert 0.4 <= mean(longer) <= 0.6
    wins, loses = Counter(), Counter()
    for good, bad in pairs:
        said, unsaid = set(words(good)), set(words(bad))
        wins.update(said - unsaid)
        loses.update(unsaid - said)
    for word in wins | loses:
        both = wins[word] + loses[word]
        # Where a rule has nothing to go by it guesses.
        share = (wins[word] + (len(pairs) - both) / 2) / len(pairs)
        assert 0.4 <= share <= 0.6, word
        if both >= 150:
            assert 0.4 <= wins[word] / both <= 0.6, word


def test_reasons_quote_what_is_said_and_what_is_there(points) -> None:
    fit = 0
    for point in singles(points):
        sample, reason = point.sample, point.critique or ""
        quoted = re.findall(r'"(.+?)"', reason)
        shown = sample.context or sample.reference or ""
        assert any(text in (sample.response or "") for text in quoted), reason
        assert any(text in shown for text in quoted), reason
        assert point.rejected is not None
        label, false = point.rejected
        assert label != point.label
        assert any(text in (sample.response or "") for text in re.findall(r'"(.+?)"', false)), false
        labels = point.criterion.scale.labels
        fit += flaw(reason, point.label, labels) is None and flaw(false, label, labels) is None
    assert fit >= 0.97 * len(singles(points))


def test_obvious_cases_are_whole_and_no_document_of_theirs_is_made(points) -> None:
    rows = [
        json.loads(line)
        for path in OBVIOUS
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    criterion = Criterion.model_validate(
        {"name": "f", "question": "Is it?", "scale": "Yes/No", "needs": ["context", "response"]}
    )
    for row in rows:
        criterion.check(Sample.from_row(row))
    counts = Counter((row["id"][:2], row["label"]) for row in rows)
    for name in ("de", "fr", "it", "pt", "es", "zh"):
        assert counts[name, "Yes"] == counts[name, "No"] == 5
    assert len({row["context"] for row in rows}) == 31  # one in English
    assert len({row["id"] for row in rows}) == len(rows)
    texts = [("obvious", key, row[key]) for row in rows for key in ("context", "response")]
    index = Index(hashed(texts))
    known = {}
    assert not [leak for point in points[:600] if (leak := leak_of(point, index, known))]
