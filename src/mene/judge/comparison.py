"""How two responses are judged: how a pair becomes questions, and their answers a verdict.

* ``together``: one prompt shows both, in the order given.
* ``both-orders``: the same twice, the second time with the seats exchanged; the mean of the two.
* ``pointwise``: each response alone, the other one unseen: would it be chosen? The two answers are compared by Bradley
  and Terry. No order can sway it, and it reads half of what both orders cost.

One word in a preset and on the command line (``compare``), and in a recipe (``data.compare``), so that a judge is taught
pairs as it will be asked about them. Draws, jurors and calibrations come around it; ``judge.py``, ``jury.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from mene.criterion import Criterion
from mene.engines.base import best
from mene.judge.combine import VOTES, combine, shares, with_probabilities
from mene.sample import Sample
from mene.scale import Scale, other_seat
from mene.verdict import Compare, Verdict

SWAPPED = "A and B swapped in the critique"


class Question(NamedTuple):
    """One thing to ask: a sample as it is shown, and the criterion that it is judged by."""

    sample: Sample
    criterion: Criterion


@dataclass(frozen=True, slots=True)
class Comparison:
    """A way of judging two responses.

    Attributes:
        name: what users call it.
        ask: a pair and what is asked about it -> the questions.
        answers: the pair's right label -> the right answer to each question. None for a tie where single responses are
            asked about: neither of them is the one that was chosen.
        conclude: a verdict on each question, in their order, and the pair's scale -> the verdict on the pair. An error in
            one is an error of the whole.
        seats: names of the questions, by what stands first in the prompt; ids of training pairs end with them.
        swayed: could the order of the two responses sway it?
    """

    name: Compare
    ask: Callable[[Sample, Criterion], tuple[Question, ...]]
    answers: Callable[[str], tuple[str, ...]]
    conclude: Callable[[Sequence[Verdict], Scale], Verdict]
    seats: tuple[str, ...]
    swayed: bool


def bradley_terry(yes_a: float, yes_b: float, scale: Scale) -> dict[str, float]:
    """The probability of each label of a pair, from that of each response to be chosen, 0 to 1.

    If the two answers are taken as independent, A wins where it alone has a Yes, B likewise; the rest of the probability is
    a tie where ``scale`` has one, and is left out where it has not. Without ties the odds of A against B are the ratio of
    their odds of a Yes: the model of Bradley and Terry (1952, eq. 1) with those as strengths.
    """
    mass = {"A": yes_a * (1 - yes_b), "B": yes_b * (1 - yes_a)}
    if "tie" in scale.labels:
        mass["tie"] = 1 - mass["A"] - mass["B"]
    total = sum(mass.values())
    return {k: mass[k] / total if total else 1 / len(mass) for k in scale.labels}


# The criterion that was asked last, and its question about one response: nearly all rows have one. Criteria do not change.
_last: tuple[Criterion, Criterion] | None = None


def alone(criterion: Criterion) -> Criterion:
    """The question of a pair, asked about one of its responses that is shown alone: would it be chosen?

    A judge in training and at work reads the same words.
    """
    global _last
    known = _last  # another thread may set it meanwhile
    if known is not None and known[0] is criterion:
        return known[1]
    needs = tuple(f for f in criterion.needs if f not in ("response_a", "response_b"))
    asked = Criterion(
        name=criterion.name,
        question=f"A response is compared with another one, which you do not see. {criterion.question} Is it this one?",
        scale=Scale.binary(),
        labels={"Yes": "This response is chosen.", "No": "The other response is chosen."},
        needs=(*needs, "response"),
        uses=criterion.uses,
    )
    _last = criterion, asked
    return asked


def turned(verdict: Verdict, scale: Scale) -> Verdict:
    """A verdict on a pair with its seats exchanged, in the original seats; its draws too."""
    parts = [turned(part, scale) for part in verdict.parts]
    if verdict.error is not None or verdict.label is None:
        return verdict.model_copy(update={"parts": parts})
    probabilities, label = verdict.probabilities, other_seat(verdict.label)
    if probabilities is not None:
        probabilities = scale.swapped(probabilities)
        label = best(probabilities)  # of two that are equally likely the first, as everywhere
    notes = [*verdict.notes, SWAPPED]
    changes = {"label": label, "probabilities": probabilities, "notes": notes, "parts": parts}
    return verdict.model_copy(update=changes)


def _both_orders(answers: Sequence[Verdict], scale: Scale) -> Verdict:
    parts = [answers[0], turned(answers[1], scale)]
    whole = combine(parts, scale)
    if whole.error is None:
        whole.consistent = parts[0].label == parts[1].label
    return whole


def _pointwise(answers: Sequence[Verdict], scale: Scale) -> Verdict:
    a, b = answers
    whole = Verdict(
        usage=a.usage + b.usage,
        latency_s=round(a.latency_s + b.latency_s, 4),
        notes=list(dict.fromkeys([*a.notes, *b.notes])),
    )
    errors = [p.error for p in (a, b) if p.error is not None]
    if errors:
        whole.error = f"{len(errors)} of 2 responses failed; the first: {errors[0]}"
        return whole
    if a.probabilities is None or b.probabilities is None:
        whole.notes.append(VOTES)
    said = [
        f"Response {seat}: {v.critique}"
        for seat, v in zip("AB", answers, strict=True)
        if v.critique is not None
    ]
    whole.critique = "\n\n".join(said) or None
    yes_a, yes_b = (shares([p], Scale.binary())["Yes"] for p in (a, b))
    return with_probabilities(whole, bradley_terry(yes_a, yes_b, scale), scale)


def _each_alone(sample: Sample, criterion: Criterion) -> tuple[Question, ...]:
    asked = alone(criterion)
    return tuple(Question(one, asked) for one in sample.split())


TOGETHER = Comparison(
    "together",
    ask=lambda sample, criterion: (Question(sample, criterion),),
    answers=lambda label: (label,),
    conclude=lambda answers, scale: answers[0],
    seats=("ab",),
    swayed=True,
)
BOTH_ORDERS = Comparison(
    "both-orders",
    ask=lambda sample, criterion: (
        Question(sample, criterion),
        Question(sample.swapped(), criterion),
    ),
    answers=lambda label: (label, other_seat(label)),
    conclude=_both_orders,
    seats=("ab", "ba"),
    swayed=True,
)
POINTWISE = Comparison(
    "pointwise",
    ask=_each_alone,
    answers=lambda label: {"A": ("Yes", "No"), "B": ("No", "Yes")}.get(label, ()),
    conclude=_pointwise,
    seats=("a", "b"),
    swayed=False,
)
COMPARISONS: dict[Compare, Comparison] = {c.name: c for c in (TOGETHER, BOTH_ORDERS, POINTWISE)}


def comparison_for(criterion: Criterion, compare: Compare) -> Comparison:
    """How a criterion is asked about: by ``compare`` where it compares two responses; else there is one question, as it is."""
    return COMPARISONS[compare] if criterion.scale.kind == "pairwise" else TOGETHER
