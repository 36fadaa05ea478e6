"""How much of a bench run is not the engine: rendering, scheduling, the ledger, combining, scoring.

    python benchmarks/bench.py --data DATA [--sets hhh_alignment,financebench] [--rows 60]

With one slot llama.cpp works on one prompt at a time, and every verdict says how long its prompts took
inside it; what is left of the wall time is mene's own. "Reused" are the tokens
found in the cache: both orders of a pair and rows that share a context or a question stand side by side.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from pathlib import Path

from mene import Judge
from mene.bench.data import Item, data_folder, read_set
from mene.bench.run import judge_set
from mene.bench.sets import BenchSet, find_sets


def measure(one: BenchSet, items: list[Item]) -> str:
    """One line: rows a second, mene's own share of the time, tokens reused."""
    with tempfile.TemporaryDirectory() as folder, Judge("nano", mode="verdict") as judge:
        start = time.perf_counter()
        result = judge_set(judge, one, items, Path(folder) / "ledger.jsonl")
        wall = time.perf_counter() - start
        engine = sum(verdict.latency_s for verdict in result.verdicts.values())
    usage = result.summary.usage
    return (
        f"{one.name:18} {len(items):5} rows  {len(items) / wall:6.2f} rows/s  "
        f"mene's own {100 * (wall - engine) / wall:5.2f} % of {wall:.1f} s  "
        f"reused {100 * usage.cached_tokens / usage.prompt_tokens:.0f} % of {usage.prompt_tokens:,} tokens"
    )


def whole_groups(items: list[Item], rows: int) -> list[Item]:
    """Return whole groups, drawn by a fixed seed, until there are as many rows."""
    groups = sorted({item.group for item in items})
    random.Random(0).shuffle(groups)
    chosen: list[Item] = []
    for group in groups:
        if len(chosen) >= rows:
            break
        chosen += [item for item in items if item.group == group]
    return chosen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--sets", default="hhh_alignment,aggrefact_parts,financebench")
    parser.add_argument(
        "--rows", type=int, default=60, help="whole groups, until there are as many"
    )
    options = parser.parse_args()
    for one in find_sets(options.sets):
        items = whole_groups(read_set(data_folder(options.data), one), options.rows)
        print(measure(one, items), flush=True)


if __name__ == "__main__":
    main()
