"""Questions that a program answers: the answer is read again from the texts, and the context does not give it away."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from statistics import mean

import pytest

from mene.curate.make import asked
from mene.curate.make.asked import KINDS, load_texts
from mene.curate.raw.sources import Point


@pytest.fixture(scope="module")
def points(small_raw) -> list[Point]:
    return list(asked.points(0, 800, small_raw, lambda text: None))


def kind(point: Point) -> str:
    return point.id.split("/")[1].partition("-")[0]


def answer(name: str, question: str, text: str) -> bool:
    """The answer, read without the generator."""
    size = len(text.split())
    number = next(iter(re.findall(r"\d+", question)), "0")
    word = next(iter(re.findall(r'"([^"]+)"', question)), "")
    has = re.search(rf"(?<![^\W_]){re.escape(word)}(?![^\W_])", text, re.I) is not None
    return {
        "number": bool(re.search(r"\d", text)),
        "asks": text.count("?") > 0,
        "exclaims": text.count("!") > 0,
        "longer": size > int(number),
        "shorter": size < int(number),
        "mentions": has,
        "lacks": not has,
        "begins": text.casefold().lstrip("\"' “").startswith(word),
        "speaks": not {"i", "me", "my", "mine", "myself"}.isdisjoint(
            re.findall(r"[a-z]+", text.casefold())
        ),
        "sentences": len(re.findall(r"[.!?]+\s+\S", text)) > 0,
    }[name]


def test_the_label_is_what_the_response_says(points) -> None:
    for point in points:
        text, question = point.sample.response or "", point.criterion.question
        found = answer(kind(point), question, text)
        assert found is (point.label == "Yes"), (question, text)


def test_all_kinds_have_both_answers_and_a_context(points) -> None:
    counts = Counter((kind(point), point.label) for point in points)
    assert {name for name, _ in counts} == set(KINDS) == set(load_texts())
    for name in KINDS:
        assert counts[name, "Yes"] == pytest.approx(counts[name, "No"], rel=0.2)
    assert all(point.sample.context for point in points)


def test_a_word_is_looked_for_in_the_response_and_not_the_context(points) -> None:
    """If it is not in the response, it is in the context."""
    for point in points:
        if (kind(point), point.label) in (("mentions", "No"), ("lacks", "Yes")):
            [word] = re.findall(r'"([^"]+)"', point.criterion.question)
            assert word in (point.sample.context or "").casefold()


def test_bounds_do_not_tell(points) -> None:
    """The number in the question alone must not give the answer away."""
    bounds: dict[tuple[str, str], list[int]] = defaultdict(list)
    for point in points:
        if kind(point) in ("longer", "shorter"):
            [number] = re.findall(r"\d+", point.criterion.question)
            bounds[kind(point), point.label].append(int(number))
    for name in ("longer", "shorter"):
        yes, no = bounds[name, "Yes"], bounds[name, "No"]
        assert min(no) < mean(yes) < max(no)
        assert min(yes) < mean(no) < max(yes)


def test_same_seed_same_points(points, small_raw) -> None:
    again = list(asked.points(0, 30, small_raw, lambda text: None))
    assert again == points[:30]
    assert len({point.name for point in points}) == len(points)
