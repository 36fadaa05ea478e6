"""A report's contents on one criterion by one judge: counts, figures, and a few example rows."""

from __future__ import annotations

from dataclasses import dataclass

from mene.sample import Sample
from mene.scale import Scale
from mene.stats.agreement import Agreement
from mene.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Row:
    """A verdict to show, with its gold label and texts where known."""

    verdict: Verdict
    gold: str | None = None
    sample: Sample | None = None


@dataclass(frozen=True, slots=True)
class Box:
    """Verdicts with confidence from ``low`` to ``high``; ``open`` have no gold label."""

    low: float
    high: float
    right: int
    wrong: int
    open: int


@dataclass(frozen=True, slots=True)
class Summary:
    """All verdicts of one criterion by one judge.

    Attributes:
        question: a user's own question; else empty.
        scale: from the verdicts; None if every row failed and none has a gold label.
        rows: number of verdicts; ``errors`` of them failed and ``abstained`` are left to a person, both without a label.
        shares: label -> verdicts, in the order of the scale; ``gold_shares``: the same for gold labels (the nearest label
            for a number in between), empty without any.
        mean_score: on an ordinal scale; ``mean_gold``: of the gold numbers.
        mean_confidence: None where the engine gave no probabilities.
        latency_median, latency_p95: seconds, of verdicts with a label; None if never measured.
        prompt_tokens, cached_tokens, completion_tokens: of all rows.
        pairs, consistent_pairs: pairs judged in both orders, and those where the orders agree.
        pointwise: pairs whose responses were judged alone, so that their order has no effect.
        confidence: histogram; empty without probabilities.
        agreement: with the gold labels; None where no row has one on the scale.
        unlabelled: rows without a gold label, if others have one.
        off_scale: rows whose gold label is not on the scale; ``strange``: some of these labels.
        even: pairs with identical responses, excluded from ``shares`` and ``agreement``.
        column: the table's column that the run named for labels; empty: none.
        source: of the gold labels, in words; empty where unknown.
        rivals: other criteria that the gold labels may be about, so that they are compared with none of them.
        failing: labels that mean that something is wrong, if the verdicts state them; None: unknown.
        least_certain, slowest, disagreements, failures: example rows, the most relevant first.
    """

    criterion: str
    judge: str
    question: str
    scale: Scale | None
    rows: int
    errors: int
    abstained: int
    shares: dict[str, int]
    gold_shares: dict[str, int]
    mean_score: float | None
    mean_gold: float | None
    mean_confidence: float | None
    latency_median: float | None
    latency_p95: float | None
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    pairs: int
    consistent_pairs: int
    pointwise: int
    confidence: tuple[Box, ...]
    agreement: Agreement | None
    unlabelled: int
    off_scale: int
    strange: tuple[str, ...]
    even: int
    least_certain: tuple[Row, ...]
    slowest: tuple[Row, ...]
    disagreements: tuple[Row, ...]
    failures: tuple[Row, ...]
    column: str = ""
    source: str = ""
    rivals: tuple[str, ...] = ()
    failing: tuple[str, ...] | None = None
