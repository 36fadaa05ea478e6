"""Public forms: rows put into a publisher's form come back as they were."""

from __future__ import annotations

import gzip
import json
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any

import pytest

from mene.bench.data import read_set, whole_sets, write_set
from mene.bench.public import convert
from mene.bench.sets import all_sets, find_sets
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


def test_the_other_forms_of_the_eleven(tmp_path) -> None:
    vote = {"question": "?", "answer_a": "x<br />y", "answer_b": "y", "overall_preference": "-1"}
    vote |= {"answer_a_type": "human", "answer_b_type": "machine"}
    (tmp_path / "l.jsonl").write_text(json.dumps(vote) + "\n")
    (row,) = convert("lfqa", tmp_path / "l.jsonl")
    assert (row["label"], row["source"], row["response_a"]) == ("A", "human_vs_machine", "x\ny")
    pair = {
        "article": "Long.",
        "requirement": "Short.",
        "output_1": "x",
        "output_2": "y",
        "winner": 2,
    }
    (tmp_path / "i.json").write_text(json.dumps([pair]))
    (row,) = convert("instrusum", tmp_path / "i.json")
    assert row["label"] == "B"
    assert "Short." in row["instruction"]
    (tmp_path / "i.json").write_text(json.dumps([{**pair, "winner": 0}]))
    with pytest.raises(UsageError, match="record 1 is not one of instrusum"):
        convert("instrusum", tmp_path / "i.json")


def test_infobench_keeps_requirements_on_which_all_three_agree(tmp_path) -> None:
    import csv

    model = "gpt-4"
    record = dict.fromkeys(
        f"{m}{end}"
        for m in ("gpt-3.5-turbo", "gpt-4", "claude-v1", "alpaca-7b", "vicuna-13b")
        for end in ("", "-annotation", "-annotation-annotator1", "-annotation-annotator2")
    )
    record |= {
        "instruction": "Write a poem.",
        "input": "",
        "decomposed_questions": "1.Is it a poem?\n2.Is it short?\n3.Does it rhyme?",
        model: "Roses are red.",
        f"{model}-annotation": "1.0.0",
        f"{model}-annotation-annotator1": "1.yes\n2.yes\n3.no",
        f"{model}-annotation-annotator2": "1.Yes\n2.no\n3.No",
    }
    source = tmp_path / "expert.csv"
    with source.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(record))
        writer.writeheader()
        writer.writerow(record)
    rows = convert("infobench", source)
    assert [(r["rubric"], r["label"]) for r in rows] == [
        ("Is it a poem?", "Yes"),
        ("Does it rhyme?", "No"),
    ]
    write_set("infobench", rows, tmp_path)
    first = read_set(tmp_path, all_sets()["infobench"])[0]
    assert first.criterion.question == "Is it a poem?"
    assert first.gold == "Yes"


def test_the_whole_aggrefact_takes_the_place_of_its_parts(tmp_path) -> None:
    import polars

    source = tmp_path / "a.parquet"
    row = {"dataset": "WiCE", "doc": "d", "claim": "c", "label": 1}
    polars.DataFrame([row]).write_parquet(source)
    write_set("llm_aggrefact", convert("llm_aggrefact", source), tmp_path)
    names = [s.name for s in whole_sets(find_sets("selene11"), tmp_path)]
    assert "llm_aggrefact" in names
    assert "aggrefact_parts" not in names
    assert len(names) == 11
    assert read_set(tmp_path, all_sets()["llm_aggrefact"])[0].gold == "Yes"


def test_another_file_is_named_and_refused(tmp_path) -> None:
    source = tmp_path / "x.json"
    source.write_text('[{"instruction": "no prompt", "gpt4_score": [1]}]')
    with pytest.raises(UsageError, match="record 1 is not one of mt_bench"):
        convert("mt_bench", source)
    with pytest.raises(UsageError, match="cannot read"):
        convert("felm", source)


def test_every_public_form_has_its_reader() -> None:
    public = {one.name: one.public for one in all_sets().values() if one.public is not None}
    assert len(public) == 12
    for name, form in public.items():
        reader = import_module(f"mene.bench.sets.{form.reader or name}").rows
        assert set(signature(reader).parameters) == {"records", *form.options}
