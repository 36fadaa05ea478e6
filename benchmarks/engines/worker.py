"""Measure one candidate on one model: run as a script in the candidate's own environment, needs NumPy at most.

    python worker.py JOB.json

JOB says which module opens the engine, where the model is, and where the answers go. The answers are
written after every measurement, so that nothing is lost when the time is up or the run is stopped.

A module has ``open_engine(job)``; what it returns has

    read(prompt)                       read one prompt from nothing, as far as the next token's logits
    share(prefix, tails)               read ``prefix + tail`` for every tail, the prefix once if it can
    write(prompt, count, tokens)       seconds to write ``tokens`` tokens after the first behind ``count`` copies
    difference(prompt, yes, no, before)
                                       logit of ``yes`` minus logit of ``no`` behind the prompt, of which the first
                                       ``before`` tokens are read beforehand and kept
"""

from __future__ import annotations

import importlib
import json
import math
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Measured:
    """The answers so far, in a file at all times."""

    def __init__(self, where: Path, cap: float) -> None:
        self.where, self.cap, self.found = where, cap, {}
        self.begun = time.perf_counter()
        self.speed = 0.0  # tokens a second of the last reading: what the next one may take

    def left(self) -> float:
        return self.cap - (time.perf_counter() - self.begun)

    def keep(self, name: str, value: Any) -> None:
        self.found[name] = value
        beside = self.where.with_suffix(".part")
        beside.write_text(json.dumps(self.found, indent=1))
        beside.replace(self.where)

    def measure(self, name: str, tokens: int, act: Callable[[], Any]) -> None:
        """Keep the median of what ``act`` answers; ``tokens`` are those read by it."""
        needed = tokens / self.speed if self.speed else 0.0
        if self.left() < 0:
            self.keep(name, {"left_out": "the time of --cap was up"})
            return
        if needed > self.left():
            self.keep(name, {"left_out": f"would take about {needed:.0f} s, past --cap"})
            return
        try:
            self.keep(name, act())
        except Exception as error:
            self.keep(name, {"left_out": f"{type(error).__name__}: {error}"[:300]})


def several(act: Callable[[int], float], times: int, seconds: float) -> dict[str, Any]:
    """``act`` up to ``times`` times, no more once ``seconds`` are gone: median, least and most of its answers."""
    begun, found = time.perf_counter(), []
    for number in range(times):
        found.append(act(number))
        if time.perf_counter() - begun > seconds:
            break
    return {
        "median": statistics.median(found),
        "min": min(found),
        "max": max(found),
        "n": len(found),
    }


def measure(engine: Any, texts: dict[str, Any], keep: Measured, quick: bool) -> None:
    times, share_of_cap = (1, 0.0) if quick else (3, keep.cap / 8)

    def reading(length: int) -> Callable[[], Any]:
        def once(number: int) -> float:
            prompt = texts["prompts"][str(length)][number]
            begun = time.perf_counter()
            engine.read(prompt)
            rate = length / (time.perf_counter() - begun)
            keep.speed = rate
            return rate

        return lambda: several(once, times, share_of_cap)

    def sharing(_: int) -> float:
        prefix, tails = texts["prefix"], texts["tails"]
        begun = time.perf_counter()
        engine.share(prefix, tails)
        return sum(len(prefix) + len(tail) for tail in tails) / (time.perf_counter() - begun)

    def writing(count: int) -> Callable[[int], float]:
        wanted = 8 if quick else 32
        return lambda _: count * wanted / engine.write(texts["write"], count, wanted)

    def labels(in_pieces: bool) -> Callable[[], dict[str, Any]]:
        """Probabilities of the first label; ``in_pieces`` reads half of the prompt beforehand, as a shared prefix is."""

        def act() -> dict[str, Any]:
            yes, no = texts["labels"]
            found: list[float] = []
            begun = time.perf_counter()
            for prompt in texts["questions"][: 2 if quick else None]:
                before = len(prompt) // 2 if in_pieces else 0
                found.append(1 / (1 + math.exp(-engine.difference(prompt, yes, no, before))))
                if time.perf_counter() - begun > keep.cap / 4:
                    break
            return {"yes": found}

        return act

    engine.read(texts["warm"])  # a first prompt pays for what is prepared on first use
    keep.measure("read_100", 100, reading(100))
    keep.measure("labels", 0, labels(False))
    if not quick:
        keep.measure("read_500", 500, reading(500))
    shared = len(texts["prefix"]) + sum(map(len, texts["tails"]))
    keep.measure("shared", shared, lambda: several(sharing, 1 if quick else 3, share_of_cap))
    keep.measure("write_1", len(texts["write"]), lambda: several(writing(1), times, share_of_cap))
    keep.measure("write_8", len(texts["write"]), lambda: several(writing(8), times, share_of_cap))
    keep.measure("labels_in_pieces", 0, labels(True))
    if not quick:
        keep.measure("read_2000", 2000, reading(2000))


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text())
    keep = Measured(Path(job["out"]), job["cap"])
    texts = json.loads(Path(job["texts"]).read_text())
    module = importlib.import_module(job["module"])
    engine = module.open_engine(job)
    engine.read(texts["first"])
    # The parent's clock at the start of this process: imports and loading count.
    keep.keep("start", time.time() - job["begun"])
    try:
        keep.keep("versions", module.versions())
        if job["measure"]:
            measure(engine, texts, keep, job["quick"])
        keep.keep("finished", True)
    finally:
        sys.stdout.flush()
        if hasattr(engine, "close"):
            engine.close()
        os._exit(0)  # some libraries wait for ever for their threads


if __name__ == "__main__":
    main()
