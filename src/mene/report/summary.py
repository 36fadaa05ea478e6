"""What a report says of the verdicts of one criterion by one judge: counts, figures, and a few rows to read."""

from __future__ import annotations

from dataclasses import dataclass

from mene.sample import Sample
from mene.scale import Scale
from mene.stats.agreement import Agreement
from mene.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Row:
    """One verdict to read, with its gold label and its texts where they are known."""

    verdict: Verdict
    gold: str | None = None
    sample: Sample | None = None


@dataclass(frozen=True, slots=True)
class Box:
    """Verdicts whose confidence lies from ``low`` to ``high``; ``open`` have no gold label."""

    low: float
    high: float
    right: int
    wrong: int
    open: int


@dataclass(frozen=True, slots=True)
class Summary:
    """All verdicts of one criterion by one judge.

    Attributes:
        question: what was asked, where a user asked it in words; else empty.
        scale: as the verdicts tell or show it; None if every row failed and none has a gold label.
        rows: verdicts; ``errors`` of them failed, and ``abstained`` are left to a person: neither has a label.
        shares: label -> verdicts, in the order of the scale; ``gold_shares`` the same of the gold
            labels (the nearest label of a number in between), empty without any.
        mean_score: of an ordinal scale; ``mean_gold`` of the gold numbers.
        mean_confidence: None where the engine gave no probabilities.
        latency_median, latency_p95: seconds, of verdicts with a label; None if never measured.
        prompt_tokens, cached_tokens, completion_tokens: of all rows.
        pairs, consistent_pairs: verdicts given in both orders, and those where the orders agree.
        pointwise: verdicts on pairs whose responses were judged alone, so that no order could sway them.
        confidence: histogram; empty without probabilities.
        agreement: with the gold labels; None where no row has one on the scale.
        unlabelled: rows without a gold label, where others have one.
        off_scale: rows whose gold label is not on the scale, and some of these labels: ``strange``.
        even: pairs whose responses are one text; their label is chosen by nobody, and neither in ``shares`` nor in
            ``agreement``.
        column: of the table, that its run named for the labels; empty: none.
        source: of the gold labels, in words; empty where that is not known.
        rivals: other criteria that the gold labels may be about as well, so that they are compared with none of them.
        failing: labels that mean that something is wrong, where the verdicts tell it; None: nobody knows.
        least_certain, slowest, disagreements, failures: rows to read, the most telling first.
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
