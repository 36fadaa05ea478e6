"""Changed responses have labels that are right by construction."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from mene import Criterion, Sample, Scale
from mene.curate.make import edits
from mene.curate.make.derive import pairs
from mene.curate.make.perturb import EDITS, KINDS, STYLE, WRONG, Changed, perturb
from mene.curate.mix import side_of
from mene.curate.raw.rows import read_source
from mene.curate.raw.sources import Point, find_source

SETS = ("evouna_qa_correctness", "fever_symmetric_dev", "q2_wow_consistency", "haluquestqa")


def side(point: Point) -> str:
    return side_of(point, 0.3, 0)


@pytest.fixture(scope="module")
def points(bench_data) -> dict[str, list[Point]]:
    folder = bench_data.parent / "train"
    if not folder.is_dir():
        pytest.skip("no training data")
    found = {}
    for name in SETS:
        every = list(read_source(folder, find_source(name), lambda text: None))
        found[name] = every[:3000]
    return found


@pytest.fixture(scope="module")
def changed(points) -> dict[str, list[tuple[Point, Changed]]]:
    """Kind -> (the point with the good response, what was made of it)."""
    found: dict[str, list[tuple[Point, Changed]]] = {}
    for kind in KINDS:
        found[kind] = []
        for rows in points.values():
            by_id = {(p.id, p.perturb): p for p in rows}
            for made in perturb(kind, rows, 120, 0, side):
                start = made.point.id.partition("+")[0].partition("~")[0]
                original = next(
                    p for (name, kinds), p in by_id.items() if name == start and kind in kinds
                )
                found[kind].append((original, made))
    return found


def texts(made: Changed) -> tuple[str | None, str]:
    """The better response of a pair (None of a single one) and the changed one."""
    sample = made.point.sample
    if made.point.criterion.scale.kind != "pairwise":
        return None, sample.response or ""
    seats = [sample.response_a or "", sample.response_b or ""]
    return (seats[0], seats[1]) if made.point.label == "A" else (seats[1], seats[0])


# None of these sets has constraints that a rule can check; see test_constraints.py.
def test_every_wrong_kind_has_its_edit() -> None:
    assert tuple(EDITS) == WRONG


@pytest.mark.parametrize("kind", [kind for kind in WRONG if kind != "constraint"])
def test_wrong_versions_lose_or_get_the_worst_label(changed, kind: str) -> None:
    assert len(changed[kind]) > 20
    for original, made in changed[kind]:
        good, bad = texts(made)
        assert original.label == original.order[-1]
        assert edits.words(bad) != edits.words(original.sample.response)
        if good is None:
            assert made.point.label == original.order[0]
            assert made.original is original
        else:
            assert good == original.sample.response
            assert made.original is None
        made.point.criterion.check(made.point.sample)
        assert made.point.group == original.group


@pytest.mark.parametrize("kind", ["swap", "number", "name", "negation", "truncate"])
def test_both_forms_are_made(changed, kind: str) -> None:
    forms = Counter(made.original is None for _, made in changed[kind])
    assert min(forms[True], forms[False]) > 5


def test_a_swapped_or_changed_answer_is_no_accepted_one(changed) -> None:
    for kind in ("swap", "number", "name", "truncate"):
        rows = [(o, m) for o, m in changed[kind] if o.criterion.name == "correct"]
        assert len(rows) > 10
        for original, made in rows:
            _, bad = texts(made)
            assert not any(edits.says(bad, a) for a in edits.aliases(original.sample.reference))


def test_a_changed_number_or_name_was_supported_and_is_no_more(changed) -> None:
    for original, made in changed["number"]:
        _, bad = texts(made)
        accepted = " ; ".join(edits.aliases(original.sample.reference or ""))
        source = f"{original.sample.context or ''} {accepted}"
        before = edits.numbers(original.sample.response)
        came, gone = edits.numbers(bad) - before, before - edits.numbers(bad)
        assert len(came) == 1
        assert not came & edits.numbers(source)
        assert gone <= edits.numbers(source)
    for original, made in changed["name"]:
        if original.criterion.name != "supported":
            continue
        _, bad = texts(made)
        came = set(edits.words(bad)) - set(edits.words(original.sample.response))
        assert came
        assert not came & set(edits.words(original.sample.context))


def test_a_borrowed_text_is_from_the_same_side_and_about_something_else(points, changed) -> None:
    for original, made in changed["swap"]:
        rows = points[original.source]
        _, bad = texts(made)
        owners = [p for p in rows if p.sample.response == bad and side(p) == side(original)]
        assert owners
        known = f"{original.sample.context or ''} {original.sample.reference or ''}"
        assert edits.overlap(bad, known) < 0.35


@pytest.mark.parametrize("kind", STYLE)
def test_style_keeps_the_label(changed, kind: str) -> None:
    labels = Counter()
    for original, made in changed[kind]:
        labels[made.point.label] += 1
        assert made.point.label == original.label
        assert made.point.value is None
        assert edits.says(made.point.sample.response, original.sample.response) or not edits.words(
            original.sample.response
        )
    assert min(labels.values()) > 10


def test_in_a_pair_the_worse_response_is_dressed_up(points) -> None:
    compared = list(pairs(points["q2_wow_consistency"], 0))
    by_id = {p.id: p for p in compared}
    found = list(perturb("filler", compared, 50, 0, side))
    assert len(found) == 50
    for made in found:
        before = by_id[made.point.id.removesuffix("~filler")].sample
        after, label = made.point.sample, made.point.label
        if label == "A":
            assert (after.response_a, before.response_b) != (before.response_a, after.response_b)
            assert after.response_a == before.response_a
        else:
            assert after.response_b == before.response_b
            assert after.response_a != before.response_a


def test_a_broken_constraint_may_be_one_comma() -> None:
    asked = "Does the response satisfy this constraint of the prompt: it must use no commas?"
    criterion = Criterion(name="set", question=asked, scale=Scale.binary())
    sample = Sample(id="1", instruction="Use no commas.", response="The cat sat and the dog ran.")
    point = Point(sample, criterion, "Yes", "g", "set/1", "set", order=("No", "Yes"))
    rows = [replace(point, id=f"set/{n}", perturb=("constraint",)) for n in range(20)]
    found = list(perturb("constraint", rows, 20, 0, side))
    assert len(found) == 20
    for made in found:
        good, bad = texts(made)
        assert bad == "The cat sat, and the dog ran."
        if good is None:
            assert (made.point.label, made.original in rows) == ("No", True)
        else:
            assert (good, made.original) == (sample.response, None)
            assert asked in made.point.criterion.question


def test_the_same_seed_makes_the_same(points) -> None:
    rows = points["q2_wow_consistency"]
    one, other = (list(perturb("swap", list(rows), 30, 5, side)) for _ in range(2))
    assert one == other
    assert one != list(perturb("swap", list(rows), 30, 6, side))
