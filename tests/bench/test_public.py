"""Public forms: rows put into a publisher's form come back as they were."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from mene.bench.data import read_set
from mene.bench.public import PUBLIC, convert, write_set
from mene.bench.sets import all_sets
from mene.errors import UsageError

HEAD = "###Task Description:\nAn instruction, a response to evaluate, …\n\n###The instruction to evaluate:\n"


def rows_of(folder: Path, name: str) -> list[dict[str, Any]]:
    with gzip.open(folder / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def judge_prompt(row: dict[str, Any], response: str) -> str:
    """A Prometheus prompt as prometheus-eval publishes them."""
    rubric = row["rubric"]
    scores = "\n".join(f"Score {i}: {rubric[f'score{i}']}" for i in range(1, 6))
    reference = (
        f"###Reference Answer (Score 5):\n{row['reference']}\n\n" if "reference" in row else ""
    )
    return (
        f"{HEAD}{row['instruction']}\n\n###Response to evaluate:\n{response}\n\n{reference}"
        f"###Score Rubrics:\n[{rubric['criteria']}]\n{scores}\n\n###Feedback: "
    )


@pytest.mark.parametrize("name", ["mt_bench", "vicuna_bench"])
def test_prometheus_scores(bench_data, tmp_path, name: str) -> None:
    wanted = rows_of(bench_data, name)
    source = tmp_path / "eval.json"
    records = [
        {
            "idx": row["question_id"],
            "response_source": row["response_model"],
            "category": row["source"],
            "instruction": judge_prompt(row, row["response"]),
            "gpt4_score": row["scores"],
        }
        for row in wanted
    ]
    source.write_text(json.dumps(records))
    found = convert(name, source)
    for row, want in zip(found, wanted, strict=True):
        for key in ("id", "source", "instruction", "response", "reference", "rubric", "scores"):
            assert row[key] == want[key]
        assert row["label"] == pytest.approx(want["label"])


def test_hhh_alignment(bench_data, tmp_path) -> None:
    wanted = rows_of(bench_data, "hhh_alignment")
    source = tmp_path / "hhh.json"
    records = []
    for row in wanted:
        a, b = judge_prompt(row, row["response_a"]), judge_prompt(row, row["response_b"])
        chosen, rejected = (a, b) if row["label"] == "A" else (b, a)
        records.append(
            {
                "source": row["source"],
                "chosen_instruction": chosen,
                "rejected_instruction": rejected,
            }
        )
    source.write_text(json.dumps(records))
    for row, want in zip(convert("hhh_alignment", source), wanted, strict=True):
        assert row["id"] == want["id"]
        assert row["instruction"] == want["instruction"]
        assert row[f"response_{row['label'].lower()}"] == want[f"response_{want['label'].lower()}"]


def test_what_is_converted_can_be_benched(tmp_path) -> None:
    source = tmp_path / "auto_j.jsonl"
    record = {"scenario": "s", "label": 2, "prompt": "?", "response 1": "x", "response 2": ""}
    source.write_text(json.dumps(record) + "\n")
    rows = convert("auto_j", source)
    write_set("auto_j", rows, tmp_path / "bench")
    (item,) = read_set(tmp_path / "bench", all_sets()["auto_j"])
    assert item.gold == "tie"
    assert item.sample.response_b == "(empty response)"
    bias = tmp_path / "bias.json"
    pair = {"instruction": "?", "response1": "good", "response2": "bad"}
    bias.write_text(json.dumps({"length bias": [pair] * 40}))
    found = convert("eval_bias_bench", bias)
    assert {r["label"] for r in found} == {"A", "B"}
    assert all(r[f"response_{r['label'].lower()}"] == "good" for r in found)
    assert found[0]["source"] == "length_bias"


def test_rewardbench_and_biggen_from_parquet(tmp_path) -> None:
    import polars

    source = tmp_path / "rb.parquet"
    record = {"subset": "math-prm", "prompt": "1+1?", "chosen": "2", "rejected": "3", "id": 7}
    polars.DataFrame([record]).write_parquet(source)
    (row,) = convert("rewardbench", source)
    assert row[f"response_{row['label'].lower()}"] == "2"
    rubric = {"criteria": "Good?", **{f"score{i}_description": f"is {i}" for i in range(1, 6)}}
    result = {
        "capability": "planning",
        "system_prompt": "Be kind.",
        "input": "Plan.",
        "response": "A plan.",
        "reference_answer": "The plan.",
        "score_rubric": rubric,
        "human_score": 4.0,
        "model_name": "m",
    }
    polars.DataFrame([result]).write_parquet(tmp_path / "b.parquet")
    rows = convert("biggen_bench", tmp_path / "b.parquet")
    write_set("biggen_bench", rows, tmp_path)
    (item,) = read_set(tmp_path, all_sets()["biggen_bench"])
    assert item.gold == 4
    assert item.criterion.labels["2"] == "is 2"
    assert item.sample.instruction == "Be kind.\n\nPlan."


def test_another_file_is_named_and_refused(tmp_path) -> None:
    source = tmp_path / "x.json"
    source.write_text('[{"instruction": "no prompt", "gpt4_score": [1]}]')
    with pytest.raises(UsageError, match="record 1 is not one of mt_bench"):
        convert("mt_bench", source)
    with pytest.raises(UsageError, match="cannot read"):
        convert("felm", source)
    assert set(PUBLIC) <= set(all_sets())
