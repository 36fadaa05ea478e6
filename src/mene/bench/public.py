"""Benchmarks in their original public form: from the publisher's file to the rows that `data.py` reads.

Pure functions, one per form, and where the pinned file is. `obtain` downloads one and converts it; rows keep
the publisher's order. Where a source lists the better answer first, seats are given by a hash.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mene.errors import ModelError, UsageError, nearest

Raw = list[dict[str, Any]]
PROMETHEUS = "https://raw.githubusercontent.com/prometheus-eval/prometheus-eval/dcfb44272d5d/eval/benchmark/data"


@dataclass(frozen=True, slots=True)
class Public:
    """Where a benchmark is published and how its rows are read.

    Attributes:
        url: of a pinned file or several, or ``hub:REPOSITORY:FILE@REVISION``.
        rows: its records -> rows.
    """

    url: str
    rows: Callable[[Any], Iterator[dict[str, Any]]]


def prometheus_scores(records: Raw, name: str, gold: str) -> Iterator[dict[str, Any]]:
    """MT-Bench, Vicuna Bench and FLASK of prometheus-eval: the row is inside a whole judge prompt."""
    for number, record in enumerate(records):
        scores = [float(s) for s in _numbers(record[gold])]
        yield {
            "id": f"{name}-{number:03d}",
            "source": record.get("category", "all"),
            "kind": "absolute",
            **sections(record["instruction"]),
            "scale": [1, 5],
            "label": sum(scores) / len(scores),
            "label_source": "gpt-4" if gold.startswith("gpt4") else "human",
            "scores": scores,
            "response_model": record.get("response_source"),
            "question_id": str(record.get("idx", number)),
        }


def sections(prompt: str) -> dict[str, Any]:
    """The parts of a Prometheus judge prompt.

    Raises:
        ValueError: a part is missing.
    """
    heads = {
        "instruction": "###The instruction to evaluate:",
        "response": "###Response to evaluate:",
        "reference": "###Reference Answer (Score 5):",
        "rubric": "###Score Rubrics:",
        "end": "###Feedback:",
    }
    at = {part: prompt.find(head) for part, head in heads.items()}
    at["end"] = prompt.rfind(heads["end"]) if at["end"] >= 0 else len(prompt)
    if min(at["instruction"], at["response"], at["rubric"]) < 0:
        raise ValueError("not a Prometheus judge prompt")
    order = sorted((place, part) for part, place in at.items() if place >= 0)
    found: dict[str, Any] = {}
    for (place, part), (following, _) in zip(order, [*order[1:], (len(prompt), "")], strict=True):
        if part != "end":
            found[part] = prompt[place + len(heads[part]) : following].strip()
    rubric = found["rubric"]
    question = re.match(r"\s*\[(.*?)\]\s*(?=Score 1:|$)", rubric, re.DOTALL)
    scores = re.findall(r"Score (\d):(.*?)(?=\nScore \d:|$)", rubric, re.DOTALL)
    found["rubric"] = {
        "criteria": (question[1] if question else rubric).strip(),
        **{f"score{n}": text.strip() for n, text in scores},
    }
    return found


def hhh(records: Raw) -> Iterator[dict[str, Any]]:
    """HHH alignment of prometheus-eval: the better answer is named ``chosen``."""
    for number, record in enumerate(records):
        chosen = sections(record["chosen_instruction"])
        rejected = sections(record["rejected_instruction"])
        name = f"hhh-{number:03d}"
        yield {
            "id": name,
            "source": record["source"],
            "instruction": chosen["instruction"],
            **seated(name, chosen["response"], rejected["response"]),
        }


def eval_bias_bench(records: dict[str, Raw]) -> Iterator[dict[str, Any]]:
    """EvalBiasBench: response 1 is always the better one."""
    for bias, rows in records.items():
        source = bias.replace(" ", "_")
        for number, record in enumerate(rows):
            name = f"{source}-{number:02d}"
            yield {
                "id": name,
                "source": source,
                "instruction": record["instruction"],
                **seated(name, record["response1"], record["response2"]),
            }


def auto_j(records: Raw) -> Iterator[dict[str, Any]]:
    """Auto-J Eval-P: 0 = the first, 1 = the second, 2 = tie; order as published."""
    for number, record in enumerate(records):
        yield {
            "id": f"autoj-{number:04d}",
            "source": record["scenario"],
            "kind": "pairwise",
            "instruction": record["prompt"],
            "response_a": record["response 1"] or "(empty response)",
            "response_b": record["response 2"] or "(empty response)",
            "label": ["A", "B", "tie"][int(record["label"])],
            "label_source": "human",
            "order": "published",
        }


def rewardbench(records: Raw) -> Iterator[dict[str, Any]]:
    """RewardBench, filtered split."""
    for number, record in enumerate(records):
        name = f"rb-{number:04d}"
        yield {
            "id": name,
            "source": record["subset"],
            "instruction": record["prompt"],
            **seated(name, record["chosen"], record["rejected"]),
        }


def biggen_bench(records: Raw) -> Iterator[dict[str, Any]]:
    """BiGGen Bench results with human scores."""
    for number, record in enumerate(records):
        rubric = record["score_rubric"]
        yield {
            "id": f"biggen-{number:04d}",
            "source": record["capability"],
            "kind": "absolute",
            "instruction": "\n\n".join(
                t for t in (record.get("system_prompt"), record["input"]) if t
            ),
            "response": record["response"],
            "reference": record.get("reference_answer"),
            "rubric": {
                "criteria": rubric["criteria"],
                **{f"score{i}": rubric[f"score{i}_description"] for i in range(1, 6)},
            },
            "scale": [1, 5],
            "label": float(record["human_score"]),
            "label_source": "human",
            "response_model": record.get("model_name"),
        }


def lfqa(records: Raw) -> Iterator[dict[str, Any]]:
    """LFQA: an expert's vote, -1 = the first answer, 1 = the second; order as published."""
    for number, record in enumerate(records):
        kinds = {record["answer_a_type"], record["answer_b_type"]}
        a, b = (
            re.sub(r"<br */?>", "\n", record[seat]).strip() for seat in ("answer_a", "answer_b")
        )
        yield {
            "id": f"lfqa-{number:03d}",
            "source": "human_vs_human" if kinds == {"human"} else "human_vs_machine",
            "kind": "pairwise",
            "instruction": record["question"],
            "response_a": a,
            "response_b": b,
            "label": {-1: "A", 1: "B"}[int(record["overall_preference"])],
            "label_source": "human",
            "order": "published",
        }


def instrusum(records: Raw) -> Iterator[dict[str, Any]]:
    """InstruSum: ``winner`` 1 or 2; order as published."""
    for number, record in enumerate(records):
        yield {
            "id": f"instrusum-{number:04d}",
            "source": "all",
            "kind": "pairwise",
            "instruction": f"Summarize the article so that this is met: {record['requirement']}\n\n"
            f"{record['article']}",
            "response_a": record["output_1"],
            "response_b": record["output_2"],
            "label": {"1": "A", "2": "B"}[str(record["winner"])],
            "label_source": "human",
            "order": "published",
        }


def llm_aggrefact(records: Raw) -> Iterator[dict[str, Any]]:
    """LLM-AggreFact: 1 = supported."""
    for number, record in enumerate(records):
        yield {
            "id": f"aggrefact-{number:05d}",
            "source": record["dataset"],
            "kind": "classification",
            "instruction": "Is the claim supported by the document?",
            "context": record["doc"],
            "response": record["claim"],
            "label": int(record["label"]),
            "label_source": "human",
        }


def infobench(records: Raw) -> Iterator[dict[str, Any]]:
    """InFoBench, the experts' CSV: a row per requirement on which all three answers agree.

    Two experts write yes or no on a line per requirement, the third 1 or 0 divided by full stops.
    """
    models = ("gpt-3.5-turbo", "gpt-4", "claude-v1", "alpaca-7b", "vicuna-13b")
    number = 0
    for record in records:
        questions = [
            re.sub(r"^\d+\.", "", q).strip()
            for q in (record["decomposed_questions"] or "").split("\n")
        ]
        instruction = "\n".join(t for t in (record["instruction"], record["input"]) if t)
        for model in models:
            lines = [record[f"{model}-annotation-annotator{i}"] or "" for i in (1, 2)]
            votes = [["yes" in v.lower() for v in text.split("\n")] for text in lines if text]
            third = str(record[f"{model}-annotation"] or "")
            votes += [[v == "1" for v in third.split(".")]] if third else []
            if len(votes) != 3 or not record[model]:
                continue
            for question, *answers in zip(questions, *votes, strict=False):
                if len(set(answers)) == 1:
                    yield {
                        "id": f"infobench-{number:04d}",
                        "source": "expert",
                        "kind": "classification",
                        "instruction": instruction,
                        "response": record[model],
                        "rubric": question,
                        "label": "Yes" if answers[0] else "No",
                        "label_source": "human",
                        "response_model": model,
                        "group": f"{instruction} {model}",
                    }
                    number += 1


def seated(name: str, better: str, worse: str) -> dict[str, Any]:
    """Seats by a hash of the row's id, so that the better answer is in either by chance."""
    first = hashlib.blake2b(name.encode(), digest_size=1).digest()[0] % 2 == 0
    a, b = (better, worse) if first else (worse, better)
    return {
        "kind": "pairwise",
        "response_a": a or "(empty response)",
        "response_b": b or "(empty response)",
        "label": "A" if first else "B",
        "order": "hashed",
    }


def _numbers(value: Any) -> Iterable[Any]:
    return value if isinstance(value, list) else [value]


PUBLIC: dict[str, Public] = {
    "mt_bench": Public(
        f"{PROMETHEUS}/mt_bench_eval.json",
        lambda r: prometheus_scores(r, "mt_bench", "gpt4_score"),
    ),
    "vicuna_bench": Public(
        f"{PROMETHEUS}/vicuna_eval.json",
        lambda r: prometheus_scores(r, "vicuna_bench", "gpt4_score"),
    ),
    "flask": Public(
        f"{PROMETHEUS}/flask_eval.json", lambda r: prometheus_scores(r, "flask", "human_score")
    ),
    "hhh_alignment": Public(f"{PROMETHEUS}/hhh_alignment_eval.json", hhh),
    "eval_bias_bench": Public(
        "https://raw.githubusercontent.com/ncsoft/offsetbias/0bd16e4ac935/data/evalbiasbench/biasbench.json",
        eval_bias_bench,
    ),
    "auto_j": Public(
        "https://raw.githubusercontent.com/GAIR-NLP/auto-j/2ae17a3965d9/data/test/testdata_pairwise.jsonl",
        auto_j,
    ),
    "lfqa": Public(
        "https://media.githubusercontent.com/media/carriex/lfqa_eval/4aa34f94c517/preference_data/experts_pairwise_human_preferences.jsonl",
        lfqa,
    ),
    "instrusum": Public("hub:Salesforce/InstruSum:human_eval_pairwise.json", instrusum),
    "infobench": Public(
        "https://drive.google.com/uc?id=161wLlIQzuHofbgkVvvSIn8cH5y6f4jlk "
        "https://drive.google.com/uc?id=1IKIRSLR3aPnBLhTd99nO09QQ72qiyKZc",
        infobench,
    ),
    "llm_aggrefact": Public(
        "hub:lytang/LLM-AggreFact:data/test-00000-of-00001.parquet@29e308a0c0c8af012943b70293dfb937811f13c6",
        llm_aggrefact,
    ),
    "rewardbench": Public(
        "hub:allenai/reward-bench:data/filtered-00000-of-00001.parquet", rewardbench
    ),
    "biggen_bench": Public(
        "hub:prometheus-eval/BiGGen-Bench-Results:data/human_eval-00000-of-00001.parquet",
        biggen_bench,
    ),
}


def convert(name: str, source: Path) -> list[dict[str, Any]]:
    """Read a publisher's file (JSON, JSON lines, CSV or Parquet) into rows.

    Raises:
        UsageError: no such form, or the file is not of it (names the record).
    """
    if name not in PUBLIC:
        raise UsageError(
            f'mene cannot read "{name}" in its public form{nearest(name, PUBLIC)}; it can: '
            f"{', '.join(PUBLIC)}"
        )
    rows: list[dict[str, Any]] = []
    try:
        for row in PUBLIC[name].rows(_records(source)):
            rows.append(row)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise UsageError(
            f"{source}: record {len(rows) + 1} is not one of {name} "
            f"({type(error).__name__}: {error}); is it the file that `mene bench --list` names?"
        ) from None
    return rows


def _records(source: Path) -> Any:
    if source.suffix == ".csv":
        with source.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    if source.suffix == ".parquet":
        import polars

        return polars.read_parquet(source).to_dicts()
    text = source.read_text("utf-8")
    if source.suffix == ".jsonl":
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    return json.loads(text)


def write_set(name: str, rows: list[dict[str, Any]], folder: Path) -> Path:
    """Put a set into a data folder, manifest included."""
    folder.mkdir(parents=True, exist_ok=True)
    path, manifest = folder / f"{name}.jsonl.gz", folder / "manifest.json"
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode("utf-8"), mtime=0))
    known = json.loads(manifest.read_text("utf-8")) if manifest.exists() else {}
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    known[name] = {"rows": len(rows), "sha256": digest, "bytes": path.stat().st_size}
    manifest.write_text(json.dumps(known, indent=1), "utf-8")
    return path


def obtain(name: str, folder: Path) -> tuple[Path, int]:
    """Download a set from where it is published and put it into a data folder.

    Returns:
        The file and its number of rows.

    Raises:
        ModelError: it cannot be downloaded.
        UsageError: mene does not know the form.
    """
    import tempfile

    if name not in PUBLIC:
        convert(name, Path())
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as place:
        for number, url in enumerate(PUBLIC[name].url.split()):
            ending = ".csv" if name == "infobench" else Path(url.rpartition("@")[0] or url).suffix
            rows += convert(name, _download(name, url, Path(place) / f"{number}{ending}"))
    for number, row in enumerate(rows if " " in PUBLIC[name].url else []):
        row["id"] = f"{name}-{number:04d}"  # several files count from 0 each
    return write_set(name, rows, folder), len(rows)


def _download(name: str, url: str, target: Path) -> Path:
    if url.startswith("hub:"):
        from huggingface_hub import hf_hub_download

        _, repository, file = url.split(":")
        file, _, revision = file.partition("@")
        try:
            return Path(
                hf_hub_download(repository, file, repo_type="dataset", revision=revision or None)
            )
        except Exception as error:
            raise ModelError(
                f"{name}: cannot download {url}: {error}; if it is gated, accept its terms on the hub and "
                "set HF_TOKEN"
            ) from None
    import httpx

    try:
        answer = httpx.get(url, follow_redirects=True, timeout=60).raise_for_status()
    except httpx.HTTPError as error:
        raise ModelError(
            f"{name}: cannot download {url}: {error}; check the connection and try again"
        ) from None
    target.write_bytes(answer.content)
    return target
