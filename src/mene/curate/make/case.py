"""A request with a right and a wrong response, and the points made from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from mene.curate.make.build import made
from mene.curate.mix import rank
from mene.curate.raw.sources import Point, find_view
from mene.scale import Scale

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Told:
    """A response with two reasons about it, one of which is true.

    Attributes:
        praise, blame: reasons why it is right, and why it is wrong. Each is a sentence that can follow a colon.
        clauses: both for a comparison, able to follow "Response A"; default: the above after a colon.
    """

    text: str
    praise: str
    blame: str
    clauses: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Questions:
    """The questions about a generator's responses.

    Attributes:
        name: of the criterion for one response.
        alone: wordings of the question whether a response is right.
        labels: descriptions of its Yes and No.
        versus: wordings of the question which of two is better.
    """

    name: str
    alone: tuple[str, ...]
    labels: dict[str, str]
    versus: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Case:
    """A request with a right and a wrong response.

    Attributes:
        id: unique, ``NAME/…`` with the generator's name.
        group: cases of one group go to the same side of a split.
        premise: the beginning of a comparison's reasons.
    """

    id: str
    group: str
    instruction: str
    right: Told
    wrong: Told
    premise: str = ""


def pick(options: Sequence[T], *parts: object) -> T:
    """Return one of the options, drawn by hash of the parts."""
    return options[int(rank(*parts) * len(options))]


def points_of(case: Case, asked: Questions, seed: int) -> tuple[Point, Point, Point]:
    """Return a comparison of the responses, and a question about each alone."""
    return (
        _pair(case, asked, seed),
        _alone(case, asked, True, seed),
        _alone(case, asked, False, seed),
    )


def sentence(text: str) -> str:
    """Return the text with a capital first letter."""
    return text[:1].upper() + text[1:]


def _pair(case: Case, asked: Questions, seed: int) -> Point:
    first = rank(seed, "seat", case.id) < 0.5
    good, bad = ("A", "B") if first else ("B", "A")
    right, wrong = case.right, case.wrong
    (right_praise, right_blame), (wrong_praise, wrong_blame) = _clauses(right), _clauses(wrong)
    true = {good: right_praise, bad: wrong_blame}
    false = {good: right_blame, bad: wrong_praise}
    shown = {good: right.text, bad: wrong.text}
    reason, other = (
        " ".join([case.premise, f"Response A{said['A']}", f"Response B{said['B']}"]).strip()
        for said in (true, false)
    )
    return made(
        f"{case.id}+pair",
        case.group,
        "better",
        pick(asked.versus, seed, "versus", case.id),
        Scale.pairwise(),
        {"instruction": case.instruction, "response_a": shown["A"], "response_b": shown["B"]},
        good,
        labels=find_view("better").labels,
        critique=reason,
        rejected=(bad, other),
    )


def _clauses(told: Told) -> tuple[str, str]:
    return told.clauses or (f": {told.praise}", f": {told.blame}")


def _alone(case: Case, asked: Questions, good: bool, seed: int) -> Point:
    told, mark = (case.right, "right") if good else (case.wrong, "wrong")
    label, other = ("Yes", "No") if good else ("No", "Yes")
    true, false = (told.praise, told.blame) if good else (told.blame, told.praise)
    return made(
        f"{case.id}+{mark}",
        case.group,
        asked.name,
        pick(asked.alone, seed, mark, case.id),
        Scale.binary(),
        {"instruction": case.instruction, "response": told.text},
        label,
        labels=asked.labels,
        critique=sentence(true),
        rejected=(other, sentence(false)),
    )
