"""How fast a CPU reads prompts in bfloat16, with and without what ``mene.engines.transformers.cpu`` does.

    python benchmarks/cpu.py

Each case runs in a process of its own, in turn, twice over; the better time of each counts.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import time
from typing import Any

LENGTHS = (300, 600, 1000, 2600)
CASES = {
    "PyTorch's own": {"attention": False, "memory": False, "chunk": 10**9},
    "memory kept": {"attention": False, "memory": True, "chunk": 10**9},
    "and read in pieces": {"attention": False, "memory": True, "chunk": 512},
    "and attention as products": {"attention": True, "memory": True, "chunk": 512},
}


def measure(case: dict[str, Any]) -> dict[int, float]:
    """Tokens a second for prompts of each length."""
    from mene.engines.in_process.tree import Tree
    from mene.engines.transformers import cpu
    from mene.engines.transformers import state as transformers_state
    from mene.judge.open import open_engine
    from mene.judge.preset import load_preset

    if not case["memory"]:
        cpu.keep_memory = lambda: None
    if not case["attention"]:
        cpu.use_attention = lambda network: None
    transformers_state.CPU_CHUNK = case["chunk"]
    engine: Any = open_engine(load_preset("nano-torch"), critique=False)
    state = engine._model.empty(1)
    draw = random.Random(0)
    found = {}
    for length in LENGTHS:
        tree = Tree.of([[draw.randrange(100, 40_000) for _ in range(length)]])
        seconds = []
        for _ in range(4):
            start = time.perf_counter()
            state.read_tree(tree, [length - 1])
            seconds.append(time.perf_counter() - start)
        found[length] = length / min(seconds)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", help=argparse.SUPPRESS)
    case = parser.parse_args().case
    if case:
        print(json.dumps(measure(CASES[case])))
        return
    best: dict[str, dict[str, float]] = {name: {} for name in CASES}
    for _ in range(2):
        for name in CASES:
            done = subprocess.run(
                [sys.executable, __file__, "--case", name], check=True, capture_output=True
            )
            for length, rate in json.loads(done.stdout).items():
                best[name][length] = max(best[name].get(length, 0.0), rate)
    print(f"{'tokens a second, prompts of':30}" + "".join(f"{n:>14,}" for n in LENGTHS))
    base = best[next(iter(CASES))]
    for name, rates in best.items():
        cells = (f"{rates[str(n)]:>6,.0f} ({rates[str(n)] / base[str(n)]:.2f}x)" for n in LENGTHS)
        print(f"{name:30}" + "".join(f"{cell:>14}" for cell in cells))


if __name__ == "__main__":
    main()
