"""Estimating what a bench takes, by judging a few rows of each set."""

from __future__ import annotations

import time
from collections.abc import Callable

from mene.bench.data import Item
from mene.bench.run import by_protocol, judge_set
from mene.bench.sets import BenchSet
from mene.events import nowhere
from mene.judge.comparison import comparison_for
from mene.judge.judge import Judge
from mene.judge.preset import Mode

TRIES = 4  # rows of each set judged for an estimate
Sets = list[tuple[BenchSet, list[Item], int]]  # set, sampled rows, rows of the whole set


def once(judge: Judge, items: list[Item]) -> dict[Mode, int]:
    """Return how often a bench asks each row, by mode."""
    return {judge.mode: 1}


def cost(
    judge: Judge,
    sets: Sets,
    times: Callable[[Judge, list[Item]], dict[Mode, int]] = once,
) -> dict[str, dict[str, float]]:
    """Return rows, prompts, tokens and minutes of each set, estimated from ``TRIES`` rows judged in every mode of ``times``."""
    found = {}
    for one, items, _ in sets:
        few = items[:: max(1, len(items) // TRIES)][:TRIES]
        line = [len(items), 0, 0, 0.0]
        for mode, asked in times(judge, items).items():
            other = judge.using(mode=mode)
            start = time.perf_counter()
            result = judge_set(other, one, few, None, events=nowhere)
            seconds = (time.perf_counter() - start) / len(few) * len(items)
            tokens = round(result.summary.usage.prompt_tokens / len(few) * len(items))
            asker = by_protocol(other, one)
            prompts = sum(
                len(comparison_for(item.criterion, asker.compare).seats) for item in items
            )
            more = [0, prompts, tokens, seconds / 60]
            line = [a + asked * b for a, b in zip(line, more, strict=True)]
        found[one.name] = dict(zip(("rows", "prompts", "tokens", "minutes"), line, strict=True))
    return found
