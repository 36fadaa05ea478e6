"""Pairs written one by one: every line is a point, and neither seat nor length gives the better response away."""

from __future__ import annotations

from collections import Counter

from mene.curate.make.tempting import load_lines, points


def test_every_line_becomes_a_pair() -> None:
    found = list(points(0, 10_000))
    assert len(found) == len({point.id for point in found}) == len(load_lines()) > 100
    for point in found:
        point.criterion.check(point.sample)  # has the fields that are needed
    lines = {f"tempting/{line['item']}": line for line in load_lines()}
    for point in found:
        a, b = point.sample.split()
        better, worse = (a, b) if point.label == "A" else (b, a)
        line = lines[point.id]
        assert (better.response, worse.response) == (line["better"], line["worse"])


def test_a_critique_names_the_seats() -> None:
    for point in points(0, 10_000):
        critique = point.critique or ""
        assert "{" not in critique.replace("{{", ""), point.id
        assert f"Response {point.label}" in critique or "Response " in critique, point.id


def test_neither_seat_nor_length_tells() -> None:
    found = list(points(0, 10_000))
    assert 0.4 < Counter(point.label for point in found)["A"] / len(found) < 0.6
    longer = [len(line["better"].split()) > len(line["worse"].split()) for line in load_lines()]
    assert 0.4 < sum(longer) / len(longer) < 0.6


def test_kinds_are_equally_frequent() -> None:
    kinds = Counter(line["kind"] for line in load_lines())
    assert len(kinds) == 13
    assert max(kinds.values()) <= 2 * min(kinds.values())


def test_the_same_seed_gives_the_same_points() -> None:
    some = list(points(3, 40))
    assert [p.id for p in some] == [p.id for p in points(3, 40)] != [p.id for p in points(4, 40)]
