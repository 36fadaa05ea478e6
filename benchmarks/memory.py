"""Memory and mene's own time over long tables: rows stream, so both tables must need about the same.

    python benchmarks/memory.py

The engine here answers at once and knows nothing, so that what is measured is mene alone: reading,
rendering, combining, the ledger. Each size runs in a process of its own.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from threading import Event

from mene import Judge
from mene.criterion import load_criterion
from mene.engines.base import Completion, Request
from mene.runs import run
from mene.tables import read_rows


class Constant:
    """Gives every label the same probability."""

    identity = "constant"
    context: int | None = None
    control_tokens = frozenset({"<|im_end|>"})

    def run(
        self, requests: Iterable[Request | None], stop: Event | None = None
    ) -> Iterator[Completion]:
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


def one(rows: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "rows.jsonl"
        with table.open("w") as file:
            for number in range(rows):
                row = {"id": number, "instruction": f"q{number}", "response": "word " * 400}
                file.write(json.dumps(row) + "\n")
        judge = Judge("openai:none@http://localhost", mode="verdict", engine=Constant())
        start = time.perf_counter()
        summary = run(
            judge, load_criterion("helpfulness"), read_rows(str(table)), Path(folder) / "out.jsonl"
        )
        seconds = time.perf_counter() - start
        assert summary.judged == rows
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{rows:>7,} rows: peak {peak:6.1f} MiB, {seconds:6.1f} s, {rows / seconds:,.0f} rows/s")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        one(int(sys.argv[1]))
    else:
        for size in (1_000, 10_000, 100_000):
            subprocess.run([sys.executable, __file__, str(size)], check=True)
