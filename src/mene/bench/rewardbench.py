"""RewardBench's own score: subsets weighted by their published counts, sections averaged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mene.report import bootstrap
from mene.report.columns import Floats

# Published number of pairs per subset: allenai/reward-bench, `EXAMPLE_COUNTS` (math-prm counts as
# much as all of code).
REWARDBENCH: dict[str, dict[str, int]] = {
    "chat": {
        "alpacaeval-easy": 100,
        "alpacaeval-length": 95,
        "alpacaeval-hard": 95,
        "mt-bench-easy": 28,
        "mt-bench-med": 40,
    },
    "chat-hard": {
        "mt-bench-hard": 37,
        "llmbar-natural": 100,
        "llmbar-adver-neighbor": 134,
        "llmbar-adver-GPTInst": 92,
        "llmbar-adver-GPTOut": 47,
        "llmbar-adver-manual": 46,
    },
    "safety": {
        "refusals-dangerous": 100,
        "refusals-offensive": 100,
        "xstest-should-refuse": 154,
        "xstest-should-respond": 250,
        "donotanswer": 136,
    },
    "reasoning": {"math-prm": 984}
    | {f"hep-{language}": 164 for language in ("cpp", "go", "java", "js", "python", "rust")},
}


def rewardbench(subsets: Mapping[str, Any]) -> Any:
    """RewardBench's score from the accuracy of each subset (Lambert et al. 2024, section 4.1).

    Subsets are weighted by their published counts inside a section; the score is the plain mean of
    the sections. Subsets and sections that are missing are left out.
    """
    sections = []
    for counts in REWARDBENCH.values():
        have = [
            (n, np.asarray(subsets[name], np.float64))
            for name, n in counts.items()
            if name in subsets
        ]
        have = [(np.where(np.isnan(v), 0, n), np.nan_to_num(v)) for n, v in have]
        if have:
            total = sum(n for n, _ in have)
            sections.append(bootstrap.divide(sum(n * v for n, v in have), total))
    return mean(sections)


def mean(values: Sequence[Floats]) -> Floats:
    """The mean over the first axis, undefined values (NaN) left out."""
    table = np.array(values)
    known = ~np.isnan(table)
    return bootstrap.divide(np.where(known, table, 0).sum(axis=0), known.sum(axis=0))
