"""mene's own cost without a model: rows a second through the run loop, and memory, which must not grow with the rows.

    python benchmarks/harness.py                    1e3, 1e4 and 1e5 rows
    python benchmarks/harness.py --rows 1000000     so many
    python benchmarks/harness.py --rows 20000 --profile

The engine here answers at once and knows nothing, so that what is measured is mene alone: reading rows, rendering prompts,
combining, the ledger. Each size runs in a process of its own. Time is the processor's; other programs on the same cores
slow that too, which the step of Python beside it shows.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import pstats
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Iterable
from pathlib import Path
from threading import Event

from mene import Judge
from mene.criterion import load_criterion
from mene.engines.base import Completion, Request
from mene.runs.run import run
from mene.runs.tables import read_rows

SIZES = (1_000, 10_000, 100_000)
MOST = 30  # functions of a profile


class Constant:
    """Gives every label the same probability."""

    identity = "constant"
    context: int | None = None
    control_tokens = frozenset({"<|im_start|>", "<|im_end|>", "<|endoftext|>"})

    def run(
        self, requests: Iterable[Request | None], stop: Event | None = None
    ) -> Generator[Completion, None, None]:
        for request in requests:
            if request is None:
                continue
            even = dict.fromkeys(request.labels, 1 / len(request.labels))
            yield Completion(request.index, label=request.labels[0], probabilities=even)

    def prompt(self, request: Request) -> str:
        return request.messages[-1].content

    def count(self, request: Request) -> int | None:
        return None

    def close(self) -> None:
        pass


def write_table(path: Path, rows: int, words: int) -> None:
    with path.open("w") as file:
        for number in range(rows):
            row = {"id": number, "instruction": f"q{number}", "response": "word " * words}
            file.write(json.dumps(row) + "\n")


def one(rows: int, words: int, template: str, again: bool, profile: bool) -> None:
    """Judge a table; ``again``: and judge it once more, which finds all verdicts in the file."""
    with tempfile.TemporaryDirectory() as folder:
        table, ledger = Path(folder) / "rows.jsonl", Path(folder) / "out.jsonl"
        write_table(table, rows, words)
        engine = Constant()
        judge = Judge(
            "openai:none@http://localhost", mode="verdict", template=template, engine=engine
        )
        criterion = load_criterion("helpfulness")
        profiler = cProfile.Profile()
        wall, own = time.perf_counter(), time.process_time()
        if profile:
            profiler.enable()
        summary = run(judge, criterion, read_rows(str(table)), ledger)
        profiler.disable()
        wall, own = time.perf_counter() - wall, time.process_time() - own
        peak = _peak()
        assert summary.judged == rows
        found = ""
        if again:
            start = time.process_time()
            assert run(judge, criterion, read_rows(str(table)), ledger).reused == rows
            rate = rows / (time.process_time() - start)
            found = f"; found again: {rate:,.0f} rows/s, peak {_peak():.1f} MiB"
    print(
        f"{rows:>9,} rows: {rows / own:6,.0f} rows/s of the processor ({own:.2f} s; {wall:.2f} s on the clock; a step of Python "
        f"{_step():.0f} ns), peak {peak:.1f} MiB{found}",
        flush=True,
    )
    if profile:
        pstats.Stats(profiler).sort_stats("tottime").print_stats(MOST)


def _step() -> float:
    """What a step of a loop takes in Python, ns: two or three times as long where other programs share the cores."""
    start, total = time.process_time(), 0
    for number in range(1_000_000):
        total += number
    return (time.process_time() - start) * 1e3


def _peak() -> float:
    """Most memory that this process has had, MiB."""
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, help="1e3, 1e4 and 1e5 where it is not given")
    parser.add_argument("--words", type=int, default=100, help="of a response")
    parser.add_argument("--template", default="prefix")
    parser.add_argument("--again", action="store_true", help="and once more, from the ledger")
    parser.add_argument("--profile", action="store_true")
    given = parser.parse_args()
    if given.rows:
        one(given.rows, given.words, given.template, given.again, given.profile)
        return
    for size in SIZES:
        subprocess.run([sys.executable, __file__, "--rows", str(size), "--words", str(given.words),
                        "--template", given.template], check=True)  # fmt: skip


if __name__ == "__main__":
    main()
