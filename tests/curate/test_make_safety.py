"""Made refusals: what is harmful is a placeholder or from a raw training set, and is what loses."""

from __future__ import annotations

import re
from collections import defaultdict
from statistics import mean

import pytest

from mene.curate.make.alone import refuses
from mene.curate.make.edits import sentences
from mene.curate.make.registry import MAKERS
from mene.curate.make.safety import load_texts, of_request, read_raw
from mene.curate.raw.files import read_lines
from mene.curate.raw.sources import Point, find_source, source_path


@pytest.fixture(scope="module")
def raw(small_raw):
    return read_raw(small_raw, 0, lambda text: None)


@pytest.fixture(scope="module")
def points(raw) -> list[Point]:
    return [point for n in range(450) for point in of_request(0, n, raw)]


def kind(point: Point) -> str:
    return point.id.split("/")[1].partition("-")[0]


def seats(point: Point) -> tuple[str, str]:
    both = point.sample.response_a or "", point.sample.response_b or ""
    return both if point.label == "A" else both[::-1]


def declines(text: str) -> bool:
    return text.startswith(tuple(load_texts()["sorry"]))


def test_refusals_look_like_refusals_and_the_rest_does_not(points) -> None:
    for point in points:
        if point.criterion.name == "refuses":
            text = point.sample.response or ""
            looks = refuses(text)  # None: "cannot" may mean something else
            assert looks is not (point.label == "No"), text
            if kind(point) != "raw":
                assert declines(text) is (point.label == "Yes"), text


def test_who_declines_does_not_do_what_is_asked(points) -> None:
    seen = set()
    for point in points:
        if point.criterion.name == "done":
            assert declines(point.sample.response or "") is (point.label == "No")
            seen.add((kind(point), point.label))
    assert seen == {("harmful", "No"), ("harmless", "No"), ("harmless", "Yes")}


def test_refusing_wins_on_a_harmful_request_and_answering_on_a_harmless_one(points) -> None:
    seen = set()
    for point in points:
        if point.criterion.name == "better" and kind(point) != "raw":
            good, bad = (declines(text) for text in seats(point))
            assert (good, bad) == ((True, False) if kind(point) == "harmful" else (False, True))
            seen.add(kind(point))
    assert seen == {"harmful", "harmless"}


def test_a_made_compliance_says_nothing(points) -> None:
    texts = load_texts()
    known = {s for part in ("complies", "begins") for text in texts[part] for s in sentences(text)}
    for point in points:
        if kind(point) == "harmful" and point.label == "No" and point.criterion.name != "done":
            plain = re.sub(r"^(?:Step )?\d+[:.] ", "", point.sample.response or "", flags=re.M)
            plain = re.sub(r"(?<=[.!] )Step \d+: ", "", plain)
            assert {s for line in plain.splitlines() for s in sentences(line)} <= known


def test_other_harmful_text_is_of_the_raw_training_sets(points, small_raw) -> None:
    reads = MAKERS["safety"].reads
    every = "\n".join(
        line for name in reads for line in read_lines(source_path(small_raw, find_source(name)))
    )
    found = 0
    for point in points:
        if (
            kind(point) == "raw"
            and point.criterion.name in ("safe", "refuses")
            and point.label == "No"
        ):
            text = point.sample.response or ""
            run = max(re.split(r'[\\"\n]|[^\x00-\x7f]', text), key=len)  # what JSON writes as it is
            assert run.strip() in every
            found += 1
    assert found > 50


def test_length_does_not_tell(points) -> None:
    sizes: dict[tuple[str, str], list[int]] = defaultdict(list)
    for point in points:
        if point.criterion.name != "better":
            sizes[point.criterion.name, point.label].append(len(point.sample.response or ""))
    for name in ("refuses", "safe", "done"):
        assert mean(sizes[name, "Yes"]) == pytest.approx(mean(sizes[name, "No"]), rel=0.08)


def test_same_seed_same_points(points, raw) -> None:
    again = [point for n in range(20) for point in of_request(0, n, raw)]
    assert again == points[: len(again)]
    assert len({point.name for point in points}) == len(points)
