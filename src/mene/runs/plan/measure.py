"""Some rows judged, to know what the others will take."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from statistics import fmean, stdev

from mene.criterion import Criterion
from mene.errors import UsageError
from mene.events import Events, on_stderr
from mene.judge.any_judge import AnyJudge
from mene.runs.run import run
from mene.runs.tables import Row
from mene.verdict import Verdict

ROWS = 50


@dataclass(frozen=True)
class Mean:
    """A mean over rows, and its 95 % interval (1.96 standard errors)."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Measured:
    """What some rows took on this machine.

    Attributes:
        rows: that were judged; ``failed`` more were not.
        seconds: a row, from start to end of them all, loading not counted; None with so few that it says nothing.
        prompt: tokens of a row's prompts; ``cached`` those of them that were not computed; ``written`` of critiques.
    """

    rows: int
    failed: int
    seconds: Mean
    prompt: Mean
    cached: Mean
    written: Mean

    @property
    def read(self) -> float:
        """Tokens a row that were computed."""
        return self.prompt.value - self.cached.value


def measure(
    judge: AnyJudge,
    criterion: Criterion,
    rows: Iterable[Row | None],
    most: int = ROWS,
    events: Events = on_stderr,
) -> Measured:
    """Judge the first rows of a table, and write nothing.

    The first rows stand for all: where a table is sorted by length, shuffle it, or plan with a sample of it.

    Raises:
        UsageError: none of them could be judged.
    """
    verdicts: list[Verdict] = []
    summary = run(
        judge, criterion, islice(rows, most), None, on_verdict=verdicts.append, events=events
    )
    good = [verdict for verdict in verdicts if verdict.error is None]
    if not good:
        why = next((v.error for v in verdicts if v.error), "the table has no rows")
        raise UsageError(f"no row could be judged, so there is nothing to plan with: {why}")
    seconds = summary.seconds / len(good)
    # How much rows differ is known of their tokens; the time of a single one is not, for they are judged together.
    tokens = [
        v.usage.prompt_tokens - v.usage.cached_tokens + v.usage.completion_tokens for v in good
    ]
    spread = _mean(tokens)
    share = (spread.high - spread.value) / spread.value if spread.value else 0.0
    return Measured(
        rows=len(good),
        failed=len(verdicts) - len(good),
        seconds=Mean(seconds, max(0.0, seconds * (1 - share)), seconds * (1 + share)),
        prompt=_mean([v.usage.prompt_tokens for v in good]),
        cached=_mean([v.usage.cached_tokens for v in good]),
        written=_mean([v.usage.completion_tokens for v in good]),
    )


def _mean(values: list[int]) -> Mean:
    mean = fmean(values)
    half = 1.96 * stdev(values) / math.sqrt(len(values)) if len(values) > 1 else 0.0
    return Mean(mean, max(0.0, mean - half), mean + half)
