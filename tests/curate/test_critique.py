"""Reasons for and against: from the sets, or from a teacher."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import replace

import pytest

from mene import Criterion, Sample, Scale
from mene.curate.critiques.critique import argue, borrowed, taught
from mene.curate.make import facts
from mene.curate.pairs import critique_pair
from mene.curate.raw.sources import Point
from mene.curate.stage import Stage
from mene.engines.base import Completion, Request
from mene.recipe import load_recipe
from mene.template import load_template, template_names

YES_NO = Criterion(name="supported", question="Is it supported?", scale=Scale.binary())
POINTS = [
    Point(
        Sample(id=str(n), context="c", response=f"r {n}"),
        YES_NO,
        "Yes" if n % 2 else "No",
        f"g{n // 4}",
        f"s/{n}",
        "s",
        f"This is a fit reason, and its number is {n}.",
    )
    for n in range(40)
]


def side(point: Point) -> str:
    return "dev" if int(point.group[1:]) < 3 else "train"


def test_without_a_teacher_the_wrong_reason_is_another_rows() -> None:
    stage = Stage()
    by_reason = {p.critique: p for p in POINTS}
    found = list(borrowed(POINTS, 1.0, 0, side, stage))
    assert len(found) == 40
    for one in found:
        owner = by_reason[one.other]
        assert one.right == one.point.critique
        assert owner.label == one.wrong != one.point.label
        assert owner.group == one.point.group  # the same question is nearest
    assert stage.made["s"] == 40
    half = list(borrowed(POINTS, 0.5, 0, side, Stage()))
    assert 10 < len(half) < 30
    assert half == list(borrowed(POINTS, 0.5, 0, side, Stage()))


def test_flawed_reasons_and_those_without_an_opposite_are_counted() -> None:
    stage = Stage()
    same = [replace(p, gold="Yes") for p in POINTS[:5]]
    short = replace(POINTS[6], critique="No.")
    assert not list(
        borrowed([*same, short, replace(POINTS[7], critique=None)], 1.0, 0, side, stage)
    )
    assert stage.dropped == {"no reason for another label": 5, "too short": 1}
    assert stage.samples


def test_the_written_pair_is_what_training_reads() -> None:
    recipe = load_recipe("nano")
    one = next(borrowed(POINTS, 1.0, 0, side, Stage()))
    dirty = replace(one, other=one.other + " <|im_end|></reasoning>")
    pair = critique_pair(dirty, recipe)
    assert pair.mode == "critique"
    assert "a short reason" in pair.messages[0].content or "<your reasoning>" in str(pair)
    for text, label, reason in (
        (pair.chosen, pair.label, one.right),
        (pair.rejected, pair.wrong, one.other),
    ):
        assert text == text.strip()
        before, _, end = text.rpartition("\n\n")
        assert end == f"**Result:** {label}"
        assert before.startswith(f"**Reasoning:** {reason}")
        assert "<|im_end|>" not in text
    assert "</reasoning>" in pair.rejected  # where templates end a critique so


class Teacher:
    """Argues for what it is told to; its own label is the one asked for."""

    identity = "teacher:1"
    context: int | None = None
    control_tokens = frozenset({"<|im_end|>"})
    stubborn = False

    def run(
        self, requests: Iterable[Request | None], stop=None
    ) -> Generator[Completion, None, None]:
        for request in [r for r in requests if r is not None][::-1]:
            label = request.messages[-1].content.rpartition("result is: ")[2].split()[0]
            assert request.critique_tokens > 0
            text = f"**Reasoning:** Much in the data speaks for it. The answer is {label}."
            yield Completion(request.index, "Yes" if self.stubborn else label, critique=text)

    def prompt(self, request: Request) -> str:
        return request.messages[-1].content

    def count(self, request: Request) -> int | None:
        return None

    def close(self) -> None:
        pass


def test_a_teacher_argues_for_both_labels() -> None:
    template, stage = load_template("prefix"), Stage()
    bare = [replace(p, critique=None) for p in POINTS[:10]] + POINTS[10:20]
    found = list(taught(bare, 1.0, 0, Teacher(), lambda p: template, stage))
    assert [one.point for one in found] == bare
    for one in found[:10]:
        assert one.right.endswith(f"The answer is {one.point.label}.")
        assert not one.right.startswith("**")
        assert one.other.endswith(f"The answer is {one.wrong}.")
    assert [one.right for one in found[10:]] == [p.critique for p in POINTS[10:20]]
    assert stage.made["s"] == 20


def test_a_teacher_that_does_not_believe_itself_is_not_believed(toy) -> None:
    template, stage, teacher = load_template("prefix"), Stage(), Teacher()
    teacher.stubborn = True
    bare = [replace(p, critique=None) for p in POINTS]
    assert not list(taught(bare, 1.0, 0, teacher, lambda p: template, stage))
    assert stage.dropped == {"contradicts": 40}
    stage = Stage()
    assert dict(argue([(POINTS[0], "Yes")], toy, lambda p: template, stage)) == {0: None}
    assert stage.dropped == {"too short": 1}  # it only says "because"
    toy.fail_on = "r 0"
    assert dict(argue([(POINTS[0], "Yes")], toy, lambda p: template, stage)) == {0: None}
    assert stage.dropped["the teacher failed"] == 1
    assert "Do not\nmention" in toy.seen[0].messages[-1].content
    assert toy.seen[0].opening == "**Reasoning:**"


def test_answers_in_any_order_give_the_same_report() -> None:
    template, stage, teacher = load_template("prefix"), Stage(), Teacher()
    teacher.stubborn = True
    told: list[int] = []
    jobs = [(point, "No") for point in POINTS[:5]]
    found = list(argue(jobs, teacher, lambda p: template, stage, told.append))
    assert found == [(n, None) for n in range(5)]  # the teacher answers the last one first
    assert [one["id"] for one in stage.samples] == ["s/0", "s/1", "s/2"]
    assert told == [1, 2, 3, 4, 5]
    asked: list[tuple[int, int]] = []
    list(
        taught(
            POINTS[:2], 1.0, 0, Teacher(), lambda p: template, Stage(), lambda *n: asked.append(n)
        )
    )
    assert asked == [(0, 2), (1, 2), (2, 2)]  # both have a reason of their own for the right label


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_share_is_of_all_points_with_a_teacher(share: float) -> None:
    template = load_template("prefix")
    found = list(taught(POINTS, share, 0, Teacher(), lambda p: template, Stage()))
    assert abs(len(found) - 40 * share) < 9


def test_a_teacher_argues_about_the_labels_of_a_made_pair() -> None:
    template, recipe = load_template("prefix"), load_recipe("nano")
    pairs = [p for p in facts.points(0, 12) if p.criterion.name == "better"]
    found = list(taught(pairs, 1.0, 0, Teacher(), lambda p: template, Stage()))
    assert found
    for one in found:
        pair = critique_pair(one, recipe)
        assert {pair.label, pair.wrong} <= set(one.point.criterion.scale.labels)


class Writer(Teacher):
    """Writes each label as its template does, and no other way."""

    def run(
        self, requests: Iterable[Request | None], stop=None
    ) -> Generator[Completion, None, None]:
        for request in (r for r in requests if r is not None):
            self.asked = request
            told = request.messages[-1].content.rpartition("result is: ")[2].splitlines()[0]
            assert told in request.labels
            text = f"{request.opening} Much in the data speaks for it. The answer is {told}."
            yield Completion(request.index, told, critique=text)


@pytest.mark.parametrize("name", sorted({*template_names()} - {"systemone"}))  # it is no prompt
def test_a_teacher_writes_labels_as_its_template_does(name: str) -> None:
    template, teacher, stage = load_template(name), Writer(), Stage()
    better = next(p for p in facts.points(0, 3) if p.criterion.name == "better")
    for point, label in ((POINTS[0], "Yes"), (POINTS[0], "No"), (better, "A"), (better, "B")):
        ((_, text),) = argue([(point, label)], teacher, lambda p: template, stage)
        assert text is not None, (label, stage.samples)
        assert teacher.asked.labels == template.written(point.criterion.scale)
        assert (teacher.asked.gap, teacher.asked.joint) == (template.gap, template.joint)
