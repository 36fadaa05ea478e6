"""What rounding costs: the same rows in float32, int8 and bfloat16, together and each alone, on OpenVINO.

    python benchmarks/rounding.py --data DATA [--judge base] [--rows 20] [--alone 5]

DATA holds ``aggrefact_parts.jsonl.gz``, ``felm.jsonl.gz`` and ``rewardbench.jsonl.gz``; rows are taken from all over each file
(``agree.py``). Compares the formats that the processor has instructions for (AVX512-VNNI, AMX). "Moved" is by how much the
probability of a label differs from float32, mean and most; "alone" by how much at most it differs if the row is judged by
itself, in the same format.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

from agree import TASKS, rows_of
from rich.console import Console
from rich.table import Table

from mene import Judge, Sample, Verdict
from mene.engines.openvino.dtype import Dtype, rounding_dtypes


def differences(some: list[Verdict], others: list[Verdict]) -> list[float]:
    """By how much each label's probability differs."""
    both = [
        (one.probabilities or {}, other.probabilities or {})
        for one, other in zip(some, others, strict=False)
    ]
    return [abs(a[label] - b[label]) for a, b in both for label in a]


def judged(
    dtype: Dtype, judge: str, criterion: str, rows: list[Sample], alone: int
) -> tuple[float, list[Verdict], float]:
    """Seconds for all rows, their verdicts, and the most that a row alone differs."""
    os.environ["MENE_DTYPE"] = dtype
    with Judge(judge, criterion, mode="verdict") as opened:
        begun = time.perf_counter()
        together = list(opened.judge(rows))
        seconds = time.perf_counter() - begun
        single = [verdict for row in rows[:alone] for verdict in opened.judge([row])]
    if errors := [verdict.error for verdict in together if verdict.error]:
        raise SystemExit(errors[0])
    return seconds, together, max(differences(single, together))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--judge", default="base")
    parser.add_argument("--rows", type=int, default=20)
    parser.add_argument("--alone", type=int, default=5, help="rows judged alone too")
    parser.add_argument("--most", type=int, default=2500, help="longest row, in characters")
    options = parser.parse_args()
    formats = rounding_dtypes()
    if not formats:
        raise SystemExit("this processor has neither AVX512-VNNI nor AMX: all would be float32")
    os.environ["MENE_ENGINE"] = "openvino"
    table = Table(title=f"{options.judge}, {options.rows} rows of each kind")
    for name in ("rows", "format", "s", "float32, s", "moved", "same label", "alone", "float32"):
        table.add_column(name)
    for task, (_, criterion, _) in TASKS.items():
        rows = rows_of(options.data, task, options.rows, options.most)
        exact, before, apart = judged("float32", options.judge, criterion, rows, options.alone)
        for name in formats:
            fast, after, rounded = judged(name, options.judge, criterion, rows, options.alone)
            moved = differences(before, after)
            same = sum(a.label == b.label for a, b in zip(before, after, strict=True))
            table.add_row(
                task,
                name,
                f"{fast:.1f}",
                f"{exact:.1f}",
                f"{sum(moved) / len(moved):.4f}, {max(moved):.4f}",
                f"{same} of {len(rows)}",
                f"{rounded:.4f}",
                f"{apart:.6f}",
            )
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
