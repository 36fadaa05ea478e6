"""Do the embedded engines say the same? Labels and probabilities of the same weights on the same real rows.

    python benchmarks/agree.py --data DATA [--rows 100] [--judge nano-base]

DATA holds ``aggrefact_parts.jsonl.gz`` (claims: yes or no), ``felm.jsonl.gz`` (a score from 1 to 5) and
``rewardbench.jsonl.gz`` (pairs). Of each, rows are taken from all over the file, those left out that are longer than ``--most``
characters. A judge with an adapter in a GGUF file (``nano``) is asked in OpenVINO and llama.cpp alone: Transformers
cannot read it.

Transformers computes in float32, OpenVINO too; llama.cpp rounds activations to 8 bits.
"""

from __future__ import annotations

import argparse
import gzip
import json
import platform
import sys
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from mene import Judge, Sample
from mene.engines.llamacpp.engine import LlamaCppEngine
from mene.engines.openvino.engine import OpenVINOEngine
from mene.engines.transformers.engine import TransformersEngine
from mene.judge.open import fetch
from mene.judge.preset import Preset, load_preset
from mene.verdict import Verdict

# Kind of task -> file, criterion, and what a prompt shows of a row.
TASKS = {
    "claims": ("aggrefact_parts", "faithfulness", ("instruction", "context", "response")),
    "scores": ("felm", "helpfulness", ("instruction", "response")),
    "pairs": ("rewardbench", "preference", ("instruction", "response_a", "response_b")),
}


def rows_of(data: Path, task: str, count: int, most: int) -> list[Sample]:
    """Rows from all over the file, at equal distances."""
    file, _, fields = TASKS[task]
    with gzip.open(data / f"{file}.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [{name: row.get(name) for name in fields} for row in map(json.loads, lines)]
    short = [row for row in rows if sum(len(text or "") for text in row.values()) <= most]
    count = min(count, len(short))
    return [Sample.from_row(short[n * len(short) // count]) for n in range(count)]


def engines_of(preset: Preset) -> dict[str, Callable[[], Any]]:
    """How each engine that can is opened on the weights of a judge."""
    path = fetch(preset)
    assert path is not None
    engines: dict[str, Callable[[], Any]] = {
        "openvino": lambda: OpenVINOEngine(path, adapters=preset.adapters),
        "llamacpp": lambda: LlamaCppEngine(path, adapters=preset.adapters),
    }
    if not preset.adapters:
        engines["transformers"] = lambda: TransformersEngine(str(path), device="cpu")
    return engines


def verdicts_of(
    engine: Any, preset: Preset, samples: dict[str, list[Sample]]
) -> dict[str, list[Verdict]]:
    """What an engine says, by kind of task."""
    judge = Judge(
        "openai:x@http://localhost", engine=engine, template=preset.template, mode="verdict"
    )
    try:
        return {task: list(judge.judge(rows, TASKS[task][1])) for task, rows in samples.items()}
    finally:
        engine.close()


def compared(one: list[Verdict], other: list[Verdict]) -> tuple[int, int, float, float]:
    """Rows, equal labels, mean and largest difference of a label's probability; rows that failed are left out."""
    both = [
        (a, b)
        for a, b in zip(one, other, strict=True)
        if a.probabilities is not None and b.probabilities is not None
    ]
    moved = [
        abs(a.probabilities[label] - b.probabilities[label])
        for a, b in both
        if a.probabilities is not None and b.probabilities is not None
        for label in a.probabilities
    ]
    equal = sum(a.label == b.label for a, b in both)
    return len(both), equal, sum(moved) / max(len(moved), 1), max(moved, default=0.0)


def processor() -> str:
    """The name of this machine's processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=100, help="of each kind")
    parser.add_argument("--most", type=int, default=4000, help="characters of a row")
    parser.add_argument(
        "--judge", default="nano-base", help="whose weights; one that is a GGUF file"
    )
    options = parser.parse_args()
    preset = load_preset(options.judge)
    samples = {task: rows_of(options.data, task, options.rows, options.most) for task in TASKS}
    said: dict[str, dict[str, list[Verdict]]] = {}
    for name, opened in engines_of(preset).items():
        print(f"{name} …", file=sys.stderr)
        said[name] = verdicts_of(opened(), preset, samples)
    table = Table(title=f"{options.judge} on {processor()}")
    for heading in ("task", "engines", "labels equal", "mean difference", "largest"):
        table.add_column(heading)
    for task in TASKS:
        for one, other in combinations(said, 2):
            rows, equal, mean, largest = compared(said[one][task], said[other][task])
            table.add_row(
                task, f"{one}, {other}", f"{equal} of {rows}", f"{mean:.4f}", f"{largest:.4f}"
            )
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
