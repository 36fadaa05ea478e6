"""Claim by claim: each sentence of a response is judged alone, and the response is as good as the worst of them.

The rule. A response fails where one of its claims fails; of several that do, the one that is surest to fail speaks for the
row, and where none does, the one that is least sure to pass. Its label, its probabilities and its critique are those of
the row. For faithfulness: all supported is Yes, one that is not is No, and the probability of Yes is the smallest of the
claims'. That is the most that the probability of "all of them" can be (Fréchet's bound), and what it is where the judge's
mistakes on one context go together; a product would call a long faithful response unfaithful for its length alone. The
share of claims that are supported, as FActScore (Min et al. 2023) counts it, can be read from ``parts``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from mene.criterion import Criterion
from mene.errors import UsageError
from mene.judge.combine import gathered
from mene.judge.comparison import TOGETHER, Comparison, Question
from mene.sample import Sample
from mene.scale import Scale
from mene.text.sentences import pieces
from mene.verdict import Verdict

MOST = 200  # claims of a response; of a longer one neighbours are judged together


class Claim(NamedTuple):
    """A claim of a response: its place there, and the text that is judged, with what it goes on from in front."""

    start: int
    end: int
    text: str


def claims_of(response: str) -> list[Claim]:
    """The claims of a response, in order; none where it claims nothing, as an empty one does."""
    found = pieces(response)
    size = -(-len(found) // MOST)
    if size > 1:
        groups = [found[n : n + size] for n in range(0, len(found), size)]
        return [Claim(g[0].start, g[-1].end, response[g[0].start : g[-1].end]) for g in groups]
    return [
        Claim(p.start, p.end, f"{p.lead}\n{said}" if p.lead else said)
        for p in found
        for said in [response[p.start : p.end]]
    ]


def by_claims(sample: Sample, criterion: Criterion) -> Comparison:
    """How a response is asked about claim by claim; as a whole where it claims nothing, and then ``parts`` are empty.

    Raises:
        UsageError: see ``check_claims``.
    """
    check_claims(criterion)
    claims = claims_of(sample.response or "")
    if not claims:
        return TOGETHER
    questions = tuple(
        Question(sample.model_copy(update={"response": claim.text}), criterion) for claim in claims
    )

    def conclude(answers: Sequence[Verdict], scale: Scale) -> Verdict:
        parts = [
            part.model_copy(update={"span": (claim.start, claim.end)})
            for part, claim in zip(answers, claims, strict=True)
        ]
        return joined(parts, criterion)

    return replace(TOGETHER, ask=lambda sample, criterion: questions, conclude=conclude)


def check_claims(criterion: Criterion) -> None:
    """See that a response can be judged by its claims.

    Raises:
        UsageError: the criterion does not judge one response, or nothing says which of its labels are bad.
    """
    if "response" not in criterion.needs:
        raise UsageError(
            f"claim by claim: {criterion.name} does not judge one response; use a criterion like faithfulness"
        )
    if not criterion.failing:
        raise UsageError(
            f"claim by claim: {criterion.name} does not say which of its labels are bad; add them to its YAML "
            "(failing: [LABEL])"
        )


def joined(parts: Sequence[Verdict], criterion: Criterion) -> Verdict:
    """The verdict on a response, of those on its claims (which have their ``span``); an error in one is the whole's."""
    whole = gathered(parts, "claims")
    if whole.error is not None:
        return whole
    worst = parts[weakest(parts, criterion)]
    return whole.say(
        label=worst.label,
        score=worst.score,
        probabilities=worst.probabilities,
        uncalibrated=worst.uncalibrated,
        threshold=worst.threshold,
        confidence=worst.confidence,
        critique=worst.critique,
        notes=list(worst.notes),
    )


def weakest(parts: Sequence[Verdict], criterion: Criterion) -> int:
    """The place of the claim that speaks for the response: the first of those that fail most surely."""
    failing = criterion.failing or ()

    def badness(part: Verdict) -> tuple[bool, float]:
        probabilities = part.probabilities or {part.label: 1.0}
        return part.label in failing, sum(probabilities.get(label, 0.0) for label in failing)

    return max(range(len(parts)), key=lambda n: badness(parts[n]))


def is_by_claims(verdict: Verdict) -> bool:
    """Was the response judged claim by claim?"""
    return bool(verdict.parts) and verdict.parts[0].span is not None


def failing_claims(verdict: Verdict, criterion: Criterion) -> list[Verdict]:
    """The parts of a verdict whose claims fail, in their order; their ``span`` is the place in the response."""
    return [p for p in verdict.parts if p.span is not None and p.label in (criterion.failing or ())]


def as_asked(sample: Sample, verdict: Verdict, criterion: Criterion) -> Sample:
    """The sample as it was shown when the claim was judged that speaks for the response."""
    if not is_by_claims(verdict):
        return sample
    claims = claims_of(sample.response or "")
    worst = weakest(verdict.parts, criterion)
    if worst >= len(claims):
        return sample
    return sample.model_copy(update={"response": claims[worst].text})
