"""How two responses are judged: from a pair to questions, and from their answers to a verdict.

* ``together``: one prompt shows both, in the given order.
* ``both-orders``: two prompts show both, the second in the reverse order; the mean of the two.
* ``pointwise``: each response alone, without the other: would it be chosen? The Bradley-Terry model turns both answers
  into a preference. It has no position bias, and reads half as many tokens as both orders.
The setting is called ``compare`` in presets and on the command line, ``data.compare`` in recipes, so that a judge is
trained on pairs in the form in which it will be asked. Draws, juries and calibrations wrap a comparison; see ``judge.py``
and ``jury.py``.
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
    """One question to the model: a sample as it is shown, and its criterion."""

    sample: Sample
    criterion: Criterion


@dataclass(frozen=True, slots=True)
class Comparison:
    """A way of judging two responses.

    Attributes:
        name: as users write it.
        ask: maps a pair and its criterion to the questions.
        answers: maps the pair's gold label to the right answer of each question. None for a tie under ``pointwise``, where
            neither response is the chosen one.
        conclude: maps the verdicts on the questions, in order, and the pair's scale to the verdict on the pair. An error in
            one question is the pair's error.
        seats: names of the questions, by the response that the prompt shows first; ids of training pairs end with them.
        swayed: whether the order of the two responses can affect the verdict.
    """

    name: Compare
    ask: Callable[[Sample, Criterion], tuple[Question, ...]]
    answers: Callable[[str], tuple[str, ...]]
    conclude: Callable[[Sequence[Verdict], Scale], Verdict]
    seats: tuple[str, ...]
    swayed: bool


def bradley_terry(yes_a: float, yes_b: float, scale: Scale) -> dict[str, float]:
    """Return the probability of each label of a pair, from each response's probability to be chosen (0 to 1).

    Treating the two answers as independent, A wins where only A gets a Yes, and vice versa. The remaining probability goes to
    the tie where ``scale`` has one; else it is dropped and the rest normalised. Without ties, the odds of A against B are the
    ratio of their odds of a Yes: the model of Bradley and Terry (1952, eq. 1) with these odds as strengths.
    """
    mass = {"A": yes_a * (1 - yes_b), "B": yes_b * (1 - yes_a)}
    if "tie" in scale.labels:
        mass["tie"] = 1 - mass["A"] - mass["B"]
    total = sum(mass.values())
    return {k: mass[k] / total if total else 1 / len(mass) for k in scale.labels}


# The last criterion and its question about one response: most rows have the same one. Criteria are immutable.
_last: tuple[Criterion, Criterion] | None = None


def alone(criterion: Criterion) -> Criterion:
    """Return the question about one response that is shown alone: would it be chosen?

    Training and judging use the same words.
    """
    global _last
    known = _last  # read once: another thread may set it
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
    """Return a verdict on the reversed pair, and its draws, mapped back to the original order."""
    parts = [turned(part, scale) for part in verdict.parts]
    if verdict.error is not None or verdict.label is None:
        return verdict.model_copy(update={"parts": parts})
    probabilities, label = verdict.probabilities, other_seat(verdict.label)
    if probabilities is not None:
        probabilities = scale.swapped(probabilities)
        label = best(probabilities)  # the first of two equally likely labels, as everywhere
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
    """Return how a criterion is asked about: by ``compare`` for pairs; else a single question, unchanged."""
    return COMPARISONS[compare] if criterion.scale.kind == "pairwise" else TOGETHER
