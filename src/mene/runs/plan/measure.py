"""Measuring tokens and time on some rows, to forecast the rest."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean, stdev

from mene.criterion import Criterion
from mene.errors import UsageError
from mene.events import Events, on_stderr
from mene.judge.any_judge import AnyJudge
from mene.judge.claims import is_by_claims
from mene.runs.run import run
from mene.runs.tables import Row
from mene.stats.intervals import student
from mene.verdict import Verdict

ROWS = 50


@dataclass(frozen=True)
class Mean:
    """A mean over rows, and its 95 % interval (Student's t); the ends are None where nothing is known of how rows differ."""

    value: float
    low: float | None = None
    high: float | None = None

    @property
    def share(self) -> float | None:
        """Half the interval's width, as a share of the mean; None where rows do not differ, or nobody knows."""
        if self.high is None or not self.value:
            return None
        return (self.high - self.value) / self.value or None

    def times(self, factor: float) -> Mean:
        """Return the mean of values that are all multiplied by a number, 0 or more."""
        low, high = (None if end is None else end * factor for end in (self.low, self.high))
        return Mean(self.value * factor, low, high)


def spread(value: float, share: float | None) -> Mean:
    """Return a mean whose interval is as wide as a share of it; see ``Mean.share``."""
    if share is None:
        return Mean(value)
    return Mean(value, max(0.0, value * (1 - share)), value * (1 + share))


@dataclass(frozen=True)
class Measured:
    """Tokens and time of some rows on this machine, each judged by all criteria.

    Attributes:
        rows: number of judged rows; ``failed`` more failed on at least one criterion.
        seconds: per row, averaged over the whole measurement, without loading.
        prompt: prompt tokens per row; ``cached``: those not computed; ``written``: tokens of critiques.
        labels: labels chosen per row: one for each question that is asked about it, and each sample of the answer.
    """

    rows: int
    failed: int
    seconds: Mean
    prompt: Mean
    cached: Mean
    written: Mean
    labels: float = 1.0

    @property
    def read(self) -> float:
        """Computed tokens per row."""
        return self.prompt.value - self.cached.value


def measure(
    judge: AnyJudge,
    criteria: Criterion | Iterable[Criterion],
    rows: Iterable[Row | None],
    most: int = ROWS,
    events: Events = on_stderr,
) -> Measured:
    """Judge the first rows of a table without writing verdicts.

    The first rows must be typical: shuffle a table that is sorted by length, or plan with a random sample.

    Raises:
        UsageError: no row could be judged.
    """
    found: defaultdict[int | None, list[Verdict]] = defaultdict(list)

    def keep(verdict: Verdict) -> None:
        found[verdict.row].append(verdict)

    summary = run(judge, criteria, rows, None, limit=most, on_verdict=keep, events=events)
    errors = [verdict.error for row in found.values() for verdict in row if verdict.error]
    good = [row for row in found.values() if not any(verdict.error for verdict in row)]
    if not good:
        why = errors[0] if errors else "the table has no rows"
        raise UsageError(f"no row could be judged, so there is nothing to plan with: {why}")
    # The variation between rows is known for tokens only, since rows are not timed one by one.
    prompt = [sum(v.usage.prompt_tokens for v in row) for row in good]
    cached = [sum(v.usage.cached_tokens for v in row) for row in good]
    written = [sum(v.usage.completion_tokens for v in row) for row in good]
    tokens = _mean([p - c + w for p, c, w in zip(prompt, cached, written, strict=True)])
    return Measured(
        rows=len(good),
        failed=len(found) - len(good),
        seconds=spread(summary.seconds / len(good), tokens.share),
        prompt=_mean(prompt),
        cached=_mean(cached),
        written=_mean(written),
        labels=fmean(sum(_labels(v) for v in row) for row in good) * judge.judges[0].preset.samples,
    )


def _labels(verdict: Verdict) -> int:
    """Return the number of questions behind a verdict: claims, or both orders or responses of a pair."""
    if is_by_claims(verdict):
        return len(verdict.parts)
    return 2 if verdict.compare in ("both-orders", "pointwise") else 1


def _mean(values: list[int]) -> Mean:
    mean = fmean(values)
    if len(values) < 2:
        return Mean(mean)
    half = student(len(values)) * stdev(values) / math.sqrt(len(values))
    return Mean(mean, max(0.0, mean - half), mean + half)
