"""More tasks from the same labels: pairs, yes/no questions, and scores on other ranges.

Every derived point restates an existing label in another form:

* ``pairs``: two answers to one question with different labels; the one with the better label wins.
* ``yes_no``: is this class the right one? And, for a score at an end of its scale: is the response good?
* ``scales``: the same score on another range, by a linear map.
* ``scores``: the two responses of a pair separately, each with its own label (``alone.py``).
* ``pointwise``: the two responses of a pair separately: is it the chosen one? From many pairs a judge learns what makes a
response
  likely to be chosen.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import get_args

from mene.criterion import Criterion
from mene.curate.make.alone import scores
from mene.curate.mix import rank
from mene.curate.raw.sources import Point, find_view
from mene.recipe import Derive
from mene.scale import Scale

KINDS: tuple[Derive, ...] = get_args(Derive)
RANGES = ((1, 5), (1, 10), (0, 10), (0, 100))
GAP = (
    0.25  # of the range, between the scores of two answers; closer ones may be noise of the raters
)
END = 0.15  # share of the range within which a score counts as at the end of the scale
NEIGHBOURS = 20  # answers tried as a partner before giving up


def derive(kind: str, points: Iterable[Point], seed: int) -> Iterator[Point]:
    """Yield all points of a kind (one of ``KINDS``) that follow from the labels of ``points``."""
    for found in _derived(kind, points, seed):
        yield replace(found, stage=f"derive.{kind}")


def _derived(kind: str, points: Iterable[Point], seed: int) -> Iterator[Point]:
    match kind:
        case "pairs":
            return pairs(points, seed)
        case "scores":
            return scores(points, seed)
        case "pointwise":
            return pointwise(points)
        case "yes_no":
            one = yes_no
        case "scales":
            one = other_scale
        case _:
            raise ValueError(f'no kind "{kind}" of derived points')
    return (found for point in points if (found := one(point, seed)) is not None)


def pairs(points: Iterable[Point], seed: int) -> Iterator[Point]:
    """Yield pairs of answers to one question, the one with the better label preferred, in a random order.

    Each answer is first in at most one pair. Scores differ by at least a quarter of their range.
    """
    questions: dict[tuple[str | None, ...], list[Point]] = defaultdict(list)
    for point in points:
        if point.sample.response and (point.value is not None or (point.order and point.versus)):
            questions[_question(point)].append(point)
    for answers in questions.values():
        answers.sort(key=lambda p: (rank(seed, "answers", p.id), p.id))
        for at, one in enumerate(answers):
            for other in answers[at + 1 : at + 1 + NEIGHBOURS]:
                better = _better(one, other)
                if better is not None:
                    worse = other if better is one else one
                    yield preferring(better, worse.sample.response or "", f"{worse.id}~pair", seed)
                    break


def preferring(
    better: Point, worse: str, mark: str, seed: int, wordings: tuple[str, ...] = ()
) -> Point:
    """Return the point that prefers the response of ``better`` to the text ``worse``.

    Args:
        mark: part of the id: that of ``better``, ``+``, the mark.
        wordings: of the question; default: those of the task, or the rubric of a score.
    """
    name = f"{better.id}+{mark}"
    wordings = wordings or better.versus
    if not wordings:
        question = better.criterion.question
        wordings = (
            f"Which response is better by this rubric? {question}",
            f"Compare the two responses by this rubric alone. {question} Which one is better?",
        )
    good = better.sample.response or ""
    first = rank(seed, "seat of the better", name) < 0.5
    texts = {"response_a": good if first else worse, "response_b": worse if first else good}
    needs = tuple(field for field in better.criterion.needs if field != "response")
    return replace(
        better,
        id=name,
        sample=better.sample.model_copy(update={"response": None, "id": name, **texts}),
        criterion=Criterion(
            name="better",
            question=wordings[int(rank(seed, "wording", name) * len(wordings))],
            scale=Scale.pairwise(),
            labels=find_view("better").labels,
            needs=(*needs, "response_a", "response_b"),
            uses=better.criterion.uses,
        ),
        gold="A" if first else "B",
        # Both are about one response and its own labels.
        critique=None,
        rejected=None,
    )


def _question(point: Point) -> tuple[str | None, ...]:
    sample = point.sample
    shown = (
        getattr(sample, name) if name in point.criterion.shown else None
        for name in ("instruction", "context", "reference")
    )
    return (point.task, point.own_question, *shown)


def _better(one: Point, other: Point) -> Point | None:
    if (one.sample.response or "").split() == (other.sample.response or "").split():
        return None
    if one.value is not None and other.value is not None:
        low, high = one.criterion.scale.values[0], one.criterion.scale.values[-1]
        if abs(one.value - other.value) < GAP * (high - low):
            return None
        return one if one.value > other.value else other
    places = one.order.index(one.label), one.order.index(other.label)
    if places[0] == places[1]:
        return None
    return one if places[0] > places[1] else other


def pointwise(points: Iterable[Point]) -> Iterator[Point]:
    """Yield the responses of pairs separately: was it chosen? A response in several pairs of a group gives one point per
    answer. Nothing for ties and single responses."""
    seen = set()
    for point in points:
        if point.criterion.scale.kind != "pairwise":
            continue
        for seat, part in point.asked("pointwise").items():
            key = (part.group, part.label, *(part.sample.response or "").split())
            if key in seen:
                continue
            seen.add(key)
            name = (
                # Draws depend on this name: changing it changes the draws.
                f"{point.id}~{seat.upper()}~apart"
            )
            yield replace(
                part,
                id=name,
                sample=part.sample.model_copy(update={"id": name}),
                critique=None,
                order=(),
                versus=(),
                perturb=(),
                each=None,
            )


def yes_no(point: Point, seed: int) -> Point | None:
    """Ask about one class, or about an end of a scale of scores; None where neither applies."""
    scale = point.criterion.scale
    if scale.kind == "ordinal" and point.value is not None:
        low, high = scale.values[0], scale.values[-1]
        place = (point.value - low) / (high - low)
        if END < place < 1 - END:
            return None
        rubric = point.criterion.question
        question = f"Is the response good by this rubric? {rubric}"
        meaning = {"Yes": "It is good by the rubric.", "No": "It is poor by the rubric."}
        label = "Yes" if place > 0.5 else "No"
    elif scale.kind == "nominal" and len(scale.labels) > 2:
        # Half the time ask about the right class, so that both answers are equally frequent.
        others = [one for one in scale.labels if one != point.label]
        asked = point.label
        if rank(seed, "class asked", point.id) < 0.5:
            asked = others[int(rank(seed, "class", point.id) * len(others))]
        described = point.criterion.labels
        rest = [one for one in scale.labels if one != asked]
        question = f'{point.criterion.question} Is the right answer "{asked}"?'
        meaning = {
            "Yes": f"{asked}. {described.get(asked, '')}".strip(),
            "No": "Rather: " + " ".join(f"{o}. {described.get(o, '')}".strip() for o in rest),
        }
        label = "Yes" if asked == point.label else "No"
    else:
        return None
    return _other(point, "yes_no", question, Scale.binary(), meaning, label)


def other_scale(point: Point, seed: int) -> Point | None:
    """Return the score on another range: ``low' + (value - low) / (high - low) * (high' - low')``.

    None for classes and pairs, and for scales with label descriptions or with less than five labels, which are too coarse for a
    finer scale.
    """
    scale = point.criterion.scale
    if point.value is None or len(scale.labels) < 5 or point.criterion.labels:
        return None
    low, high = scale.values[0], scale.values[-1]
    ranges = [(a, b) for a, b in RANGES if (a, b) != (low, high)]
    a, b = ranges[int(rank(seed, "range", point.id) * len(ranges))]
    value = a + (point.value - low) / (high - low) * (b - a)
    new = Scale.likert(a, b)
    return _other(point, "scale", point.criterion.question, new, {}, value)


def _other(
    point: Point,
    kind: str,
    question: str,
    scale: Scale,
    meaning: dict[str, str],
    gold: str | float,
) -> Point:
    name = f"{point.id}~{kind}"
    criterion = point.criterion.model_copy(
        update={"question": question, "scale": scale, "labels": meaning}
    )
    return replace(point, id=name, criterion=criterion, gold=gold, critique=None, perturb=())
