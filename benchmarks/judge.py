"""How fast mene judges, beside the obvious ways of doing the same, on one machine in one run.

    python benchmarks/judge.py --data DATA [--rows 64] [--slow-rows 6]

DATA holds ``hhh_alignment.jsonl.gz`` and ``auto_j.jsonl.gz``. All ways use the same weights (those of
the judge ``nano``) and the same rows:

a   Transformers as in Selene Mini's quick start: one prompt at a time, ``generate``, greedy
b   a plain client loop, 8 connections, against llama.cpp's own server
c   mene, critique mode, 128 tokens
d   mene, verdict mode

``c`` and ``d`` compute in float32, and once more in int8 and in bfloat16 where this processor has the instructions for it.

``a`` takes minutes, so it runs on every n-th of the rows (``--slow-rows``). Seconds a row are means;
ratios are of this run and this machine.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import xllamacpp as _xllamacpp
from rich.console import Console
from rich.table import Table

from mene import Judge, Sample
from mene.criterion import load_criterion
from mene.engines.cores import physical_cores
from mene.engines.llamacpp.engine import LlamaCppEngine
from mene.engines.openvino.dtype import Dtype, rounding_dtypes
from mene.judge.open import fetch
from mene.judge.preset import load_preset
from mene.template import load_template
from mene.weights.gguf_header import read_header

xllamacpp: Any = _xllamacpp  # a compiled module without type stubs
CRITERION = load_criterion("preference")


def rows_of(
    data: Path, count: int, most: int | None, size: Callable[[Sample], int]
) -> list[Sample]:
    """The first rows of both sets, half from each; with ``most``, of those with shorter prompts."""
    rows: list[Sample] = []
    for name in ("hhh_alignment", "auto_j"):
        with gzip.open(data / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
            samples = (Sample.from_row(json.loads(line)) for line in file)
            fitting = (s for s in samples if most is None or size(s) <= most)
            rows += islice(fitting, count // 2)
    return rows


def selene_prompt(sample: Sample, critique: bool) -> str:
    return load_template("selene").render(CRITERION, sample, critique=critique)[0].content


def quick_start(gguf: Path, rows: list[Sample], tokens: int) -> float:
    """(a): seconds a row of Transformers' ``generate``."""
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    torch.set_num_threads(physical_cores())
    where: dict[str, Any] = {"gguf_file": gguf.name}
    model: Any = transformers.AutoModelForCausalLM.from_pretrained(
        gguf.parent, dtype=torch.float32, **where
    )
    tokenizer = transformers.AutoTokenizer.from_pretrained(gguf.parent, **where)
    start = time.perf_counter()
    for row in rows:
        messages = [{"role": "user", "content": selene_prompt(row, critique=True)}]
        text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        inputs = tokenizer(text, return_tensors="pt")
        model.generate(**inputs, max_new_tokens=tokens, do_sample=False)
    return (time.perf_counter() - start) / len(rows)


def server(gguf: Path, slots: int) -> Any:
    params = xllamacpp.CommonParams()
    params.model.path = str(gguf)
    params.n_ctx = 4096 * slots
    params.n_parallel = slots
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = physical_cores()
    params.verbosity = -1
    params.port = 0
    return xllamacpp.Server(params)


def client_loop(gguf: Path, rows: list[Sample], critique: bool) -> float:
    """(b): seconds a row of 8 threads that post chat completions."""
    running = server(gguf, 8)

    def ask(row: Sample) -> None:
        body = {
            "messages": [{"role": "user", "content": selene_prompt(row, critique)}],
            "max_tokens": 128 if critique else 5,  # `**Result:** A` has five
            "temperature": 0,
            "logprobs": True,
            "top_logprobs": 10,
        }
        request = urllib.request.Request(
            running.listening_address + "/v1/chat/completions",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as reply:
            json.load(reply)

    start = time.perf_counter()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, rows))
    return (time.perf_counter() - start) / len(rows)


def mene(rows: list[Sample], mode: str, dtype: Dtype = "float32") -> tuple[float, int, int, int]:
    """(c), (d): seconds a row, tokens computed, reused and written."""
    os.environ["MENE_DTYPE"] = dtype
    with Judge("nano-base", CRITERION, mode=mode, critique_tokens=128) as judge:  # type: ignore[arg-type]
        list(judge.judge(rows[:1]))  # opening is measured apart
        start = time.perf_counter()
        verdicts = list(judge.judge(rows))
        seconds = time.perf_counter() - start
    assert not any(v.error for v in verdicts)
    read = sum(v.usage.prompt_tokens - v.usage.cached_tokens for v in verdicts)
    reused = sum(v.usage.cached_tokens for v in verdicts)
    return seconds / len(rows), read, reused, sum(v.usage.completion_tokens for v in verdicts)


def long_prompt(gguf: Path, rows: list[Sample]) -> float:
    """Tokens a second that llama.cpp reads of one long prompt, at its own settings; best of 3."""
    running = server(gguf, 1)
    text = "\n".join(f"{row.instruction} {row.response_a}" for row in rows)[:7000]
    rates = []
    for number in range(3):
        answer = running.handle_completions(
            {"prompt": f"{number} {text}", "n_predict": 1, "cache_prompt": False}
        )
        rates.append(answer["timings"]["prompt_per_second"])
    return max(rates)


def peak_flops() -> float:
    """float32 operations a second of a large matrix product; best of 5."""
    a = np.random.default_rng(0).random((4096, 4096), dtype=np.float32)
    best = 0.0
    for _ in range(5):
        start = time.perf_counter()
        np.matmul(a, a)
        best = max(best, 2 * 4096**3 / (time.perf_counter() - start))
    return best


def seconds_of(command: list[str], tries: int = 3) -> float:
    """Best wall time of a command."""
    times = []
    for _ in range(tries):
        start = time.perf_counter()
        subprocess.run(command, capture_output=True, check=True)
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--slow-rows", type=int, default=6)
    parser.add_argument("--most-tokens", type=int, help="only rows with a mene prompt up to this")
    options = parser.parse_args()

    base = load_preset("nano-base")
    plain = base.weights.model_copy(update={"convert": None})
    q4, q8 = fetch(base.model_copy(update={"weights": plain})), fetch(base)
    assert q4 is not None and q8 is not None
    with Judge("nano-base", CRITERION, mode="verdict") as judge:
        sizes = lambda sample: judge.prompt(sample)[1] or 0  # noqa: E731
        rows = rows_of(options.data, options.rows, options.most_tokens, sizes)
        mine = [sizes(row) for row in rows]
    slow = rows[:: max(len(rows) // options.slow_rows, 1)]
    engine = LlamaCppEngine(q8)
    theirs = [len(engine._texts.tokens(selene_prompt(row, True))) for row in rows]
    engine.close()

    d, read, reused, _ = mene(rows, "verdict")
    rate = read / (d * len(rows))
    c, c_read, c_reused, written = mene(rows, "critique")
    rounded = {
        name: (mene(rows, "verdict", name)[0], mene(rows, "critique", name)[0])
        for name in rounding_dtypes()
    }
    os.environ["MENE_DTYPE"] = "float32"
    times = {
        "b  client loop, Q4_1 as downloaded, critique": client_loop(q4, rows, True),
        "b  client loop, Q4_1 as downloaded, verdict": client_loop(q4, rows, False),
        "b  client loop, Q8_0, critique": client_loop(q8, rows, True),
        "b  client loop, Q8_0, verdict": client_loop(q8, rows, False),
    }
    a = {n: quick_start(q8, slow, n) for n in (128, 512)}
    long = long_prompt(q8, rows)
    peak = peak_flops()

    table = Table(
        title=f"{len(rows)} rows, prompts of {np.mean(mine):.0f} (mene) and {np.mean(theirs):.0f} (Selene form) tokens"
    )
    for column in ("way", "s a row", "mene verdict is faster by", "mene critique is faster by"):
        table.add_column(column, justify="left" if column == "way" else "right")
    for n, s in sorted(a.items(), reverse=True):
        table.add_row(
            f"a  Transformers quick start, {n} tokens ({len(slow)} rows)",
            f"{s:.2f}",
            f"{s / d:.1f}",
            f"{s / c:.1f}",
        )
    for name, s in times.items():
        critique = name.endswith("critique")
        table.add_row(
            name, f"{s:.3f}", "" if critique else f"{s / d:.2f}", f"{s / c:.2f}" if critique else ""
        )
    table.add_row("c  mene critique, 128 tokens", f"{c:.3f}", "", "1")
    table.add_row("d  mene verdict", f"{d:.3f}", "1", "")
    for name, (verdict, critique) in rounded.items():
        table.add_row(f"c  mene critique, {name}", f"{critique:.3f}", "", f"{critique / c:.2f}")
        table.add_row(f"d  mene verdict, {name}", f"{verdict:.3f}", f"{verdict / d:.2f}", "")
    console = Console(width=110)
    console.print(table)
    for name, (verdict, critique) in rounded.items():
        console.print(
            f"{name}: verdict {a[512] / verdict:.0f} times as fast as the quick start of 512 tokens, "
            f"{times['b  client loop, Q8_0, verdict'] / verdict:.2f} times as fast as the client loop, "
            f"critique {times['b  client loop, Q8_0, critique'] / critique:.2f} times"
        )
    parameters = 106_203_072  # of the 30 layers; the output matrix is only read for the last token
    console.print(
        f"d computed {read:,} tokens and reused {reused:,}; c computed {c_read:,}, reused {c_reused:,}, wrote {written:,}"
    )
    console.print(
        f"tokens read a second: mene verdict {rate:.0f}, llama.cpp on one long prompt {long:.0f}: ratio {rate / long:.2f}"
    )
    console.print(
        f"machine: {peak / 1e9:.0f} GFLOP/s float32 in a matrix product of 4096; "
        f"mene reads at {2 * parameters * rate / 1e9:.0f} GFLOP/s = {2 * parameters * rate / peak:.0%} of it"
    )
    mene_command = str(Path(sys.executable).with_name("mene"))
    console.print(f"mene --help: {seconds_of([mene_command, '--help']):.3f} s")
    one = json.dumps({"instruction": "Say hi", "response_a": "Hi!", "response_b": "No."})
    one_row = Path(sys.argv[0]).with_name(".one.jsonl")
    one_row.write_text(one)
    first = seconds_of(
        [mene_command, "judge", str(one_row), "-c", "preference", "-m", "verdict", "-o", "-"]
    )
    one_row.unlink()
    console.print(f"from start to the first verdict, process included: {first:.2f} s")
    assert read_header(q8).architecture == "llama"


if __name__ == "__main__":
    main()
