"""A request with a right and a wrong response, and the points that follow from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from mene.criterion import Criterion
from mene.curate.mix import rank
from mene.curate.raw.sources import Point, find_view
from mene.sample import Sample
from mene.scale import Scale

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Told:
    """A response, and what is said about it; one of the two is true.

    Attributes:
        praise, blame: reasons that it is right, and that it is wrong. Each is a sentence that can follow a colon.
        clauses: the two for a comparison, as they can follow "Response A"; default: those with a colon.
    """

    text: str
    praise: str
    blame: str
    clauses: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Questions:
    """What is asked about the responses of a generator.

    Attributes:
        name: of the criterion about one response.
        alone: wordings of the question whether a response is right.
        labels: what its Yes and No mean.
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
        id: unique, ``source/…``.
        group: cases of one group go to the same side of a split.
        premise: what the reasons of a comparison begin with.
    """

    id: str
    source: str
    group: str
    instruction: str
    right: Told
    wrong: Told
    premise: str = ""


def pick(options: Sequence[T], *parts: object) -> T:
    """One of the options, drawn by hash of the parts."""
    return options[int(rank(*parts) * len(options))]


def points_of(case: Case, asked: Questions, seed: int) -> tuple[Point, Point, Point]:
    """Which response is better, and of each alone, whether it is right."""
    return (
        _pair(case, asked, seed),
        _alone(case, asked, True, seed),
        _alone(case, asked, False, seed),
    )


def point(
    case: Case,
    mark: str,
    criterion: Criterion,
    label: str,
    critique: str,
    rejected: tuple[str, str],
    texts: dict[str, str],
    value: float | None = None,
) -> Point:
    """A point of a case.

    Args:
        mark: ends the id.
        critique: a reason for the label.
        rejected: another label, and a reason for it.
        texts: fields of the sample.
    """
    name = f"{case.id}+{mark}"
    return Point(
        id=name,
        source=case.source,
        sample=Sample(id=name, instruction=case.instruction, **texts),
        criterion=criterion,
        gold=label if value is None else value,
        critique=critique,
        group=case.group,
        rejected=rejected,
    )


def sentence(text: str) -> str:
    """The text with a capital first letter."""
    return text[:1].upper() + text[1:]


def _pair(case: Case, asked: Questions, seed: int) -> Point:
    first = rank(seed, "seat", case.id) < 0.5
    good, bad = ("A", "B") if first else ("B", "A")
    right, wrong = case.right, case.wrong
    (right_praise, right_blame), (wrong_praise, wrong_blame) = _clauses(right), _clauses(wrong)
    true = {good: right_praise, bad: wrong_blame}
    false = {good: right_blame, bad: wrong_praise}
    criterion = Criterion(
        name="better",
        question=pick(asked.versus, seed, "versus", case.id),
        scale=Scale.pairwise(),
        labels=find_view("better").labels,
        needs=("instruction", "response_a", "response_b"),
        uses=(),
    )
    texts = {"response_a": right.text, "response_b": wrong.text}
    if not first:
        texts = {"response_a": wrong.text, "response_b": right.text}
    reason, other = (
        " ".join([case.premise, f"Response A{said['A']}", f"Response B{said['B']}"]).strip()
        for said in (true, false)
    )
    return point(case, "pair", criterion, good, reason, (bad, other), texts)


def _clauses(told: Told) -> tuple[str, str]:
    return told.clauses or (f": {told.praise}", f": {told.blame}")


def _alone(case: Case, asked: Questions, good: bool, seed: int) -> Point:
    told, mark = (case.right, "right") if good else (case.wrong, "wrong")
    label, other = ("Yes", "No") if good else ("No", "Yes")
    criterion = Criterion(
        name=asked.name,
        question=pick(asked.alone, seed, mark, case.id),
        scale=Scale.binary(),
        labels=asked.labels,
        needs=("instruction", "response"),
        uses=(),
    )
    true, false = (told.praise, told.blame) if good else (told.blame, told.praise)
    return point(
        case,
        mark,
        criterion,
        label,
        sentence(true),
        (other, sentence(false)),
        {"response": told.text},
    )
