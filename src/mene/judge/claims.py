"""Claim by claim: each sentence of a response is judged alone, and the worst claim decides.

A response fails where one of its claims fails. The claim that fails with the highest probability, or else the one that
passes with the lowest, gives the response its label, its probabilities and its critique. For faithfulness: the response
is a Yes where all claims are supported, and its probability of Yes is the smallest of the claims'. That is the upper bound
(Fréchet) on the probability that all are supported, and exact where the judge's mistakes on one context coincide; a product
would call long faithful responses unfaithful for their length alone. ``parts`` hold the verdicts on the claims, e.g. to
compute the share of supported claims as FActScore does (Min et al. 2023).
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

MOST = 200  # claims per response; in a longer response, neighbouring claims are judged together


class Claim(NamedTuple):
    """A claim of a response: its place there, and the text to judge, with the preceding text that it depends on."""

    start: int
    end: int
    text: str


def claims_of(response: str) -> list[Claim]:
    """Return the claims of a response, in order; empty where it makes none, e.g. an empty response."""
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
    """Return the comparison that asks about each claim; a response without claims is judged whole, without ``parts``.

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
    """Check that responses can be judged by their claims.

    Raises:
        UsageError: the criterion does not judge a single response, or does not say which labels fail.
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
    """Return the verdict on a response from those on its claims (each with its ``span``). An error in one is its error."""
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
    """Return the index of the claim that decides: the one with the highest probability to fail, the first of several."""
    failing = criterion.failing or ()

    def badness(part: Verdict) -> tuple[bool, float]:
        probabilities = part.probabilities or {part.label: 1.0}
        return part.label in failing, sum(probabilities.get(label, 0.0) for label in failing)

    return max(range(len(parts)), key=lambda n: badness(parts[n]))


def is_by_claims(verdict: Verdict) -> bool:
    """Return whether the response was judged claim by claim."""
    return bool(verdict.parts) and verdict.parts[0].span is not None


def failing_claims(verdict: Verdict, criterion: Criterion) -> list[Verdict]:
    """Return the parts whose claims fail, in order; each ``span`` is the claim's place in the response."""
    return [p for p in verdict.parts if p.span is not None and p.label in (criterion.failing or ())]


def as_asked(sample: Sample, verdict: Verdict, criterion: Criterion) -> Sample:
    """Return the sample as the judge saw it for the claim that decides."""
    if not is_by_claims(verdict):
        return sample
    claims = claims_of(sample.response or "")
    worst = weakest(verdict.parts, criterion)
    if worst >= len(claims):
        return sample
    return sample.model_copy(update={"response": claims[worst].text})
