"""Are critiques that llama.cpp writes side by side those that it writes alone, to the last digit of their labels?

    python benchmarks/company.py FILE.gguf [--slots 4] [--rows 16] [--tokens 24]

All rows are judged at once, then the last two thirds of them, then each of these by itself. Which rows share a batch,
and so how many tokens it has, is another thing each time.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from mene.engines.base import Request
from mene.engines.llamacpp.engine import LlamaCppEngine
from mene.message import Message

START = "You judge whether an answer is polite and right. Say why in a few words, then give the result. "

Said = dict[int, tuple[object, object]]


def row(number: int, tokens: int) -> Request:
    text = START * 3 + f"Answer {number}: {'it is what it is, ' * (number + 1)} I hope that helps."
    labels, marks = ("Yes", "No"), ("**Reasoning:**", "**Result:**")
    return Request(number, (Message("user", text),), labels, *marks, critique_tokens=tokens)


def judged(engine: LlamaCppEngine, rows: list[Request]) -> Said:
    return {done.index: (done.critique, done.probabilities) for done in engine.run(rows)}


def same(what: str, one: Said, other: Said) -> None:
    both = [(one[key], other[key]) for key in other]
    critiques, labels = sum(a[0] == b[0] for a, b in both), sum(a == b for a, b in both)
    print(
        f"{what}: of {len(both)} rows {critiques} have the same critique, {labels} the same probabilities too"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--slots", type=int, default=4)
    parser.add_argument("--rows", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=24)
    given = parser.parse_args()
    engine = LlamaCppEngine(given.file, slots=given.slots, context=1024)
    rows = [row(number, given.tokens) for number in range(given.rows)]
    some = rows[given.rows // 3 :]
    start = time.perf_counter()
    everyone = judged(engine, rows)
    print(f"{len(rows)} rows, {given.slots} at once: {time.perf_counter() - start:.1f} s")
    fewer = judged(engine, some)
    alone: Said = {}
    for one in some:
        alone |= judged(engine, [one])
    engine.close()
    same("among all and among some", everyone, fewer)
    same("among all and alone", everyone, alone)
    same("among some and alone", fewer, alone)


if __name__ == "__main__":
    main()
