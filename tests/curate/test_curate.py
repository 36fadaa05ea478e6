"""``mene curate``, from raw rows to pairs: recipes, pairs, and the whole command on real rows."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from mene import Criterion, Sample, Scale
from mene.curate.mix import wrong_label
from mene.curate.pairs import pairs_of
from mene.curate.raw.sources import Point
from mene.curate.run import curate
from mene.errors import UsageError
from mene.recipe import load_recipe
from mene.text.control_tokens import CONTROL_TOKENS

RECIPE = """
seed: 3
data:
  development: 0.2
  templates: {prefix: 1, selene: 1}
  sources: {q2_wow_consistency: 60, hanna: 50, tldr_human: 40, auto_j_single_train: 40}
"""


def mene(*arguments: object, **more) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mene", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, **more)


def recipe_of(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    return path


def test_the_built_in_recipe_is_good() -> None:
    assert load_recipe("nano").data.sources["hanna"] > 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "data: {sources: {hanna: 1}, longst: 3}",
            'data: unknown key "longst"; did you mean "longest"',
        ),
        ("sed: 1\ndata: {sources: {hanna: 1}}", 'unknown key "sed"; did you mean "seed"'),
        ("data: {sources: {hana: 1}}", 'no source "hana"; did you mean "hanna"'),
        (
            "data: {sources: {hanna: 0}}",
            "data.sources.hanna: Input should be greater than or equal to 1",
        ),
        ("data: {sources: {hanna: 1}, templates: {selen: 1}}", 'did you mean "selene"'),
        (
            "data: {sources: {hanna: 1}, derive: {pair: 9}}",
            'unknown kind "pair"; did you mean "pairs"',
        ),
        ("data: {sources: {hanna: 1}, perturb: {swop: 9}}", 'did you mean "swap"'),
        ("data: {sources: {hanna: 1}, perturb: {swap: 0}}", "data.perturb.swap: Input should be"),
        ("data: {sources: {hanna: 1}, critiques: 2}", "data.critiques: Input should be less than"),
        ("data: {sources: {hanna: 1}, unique: all}", "data.unique: Input should be 'none'"),
        ("seed: 1", "data: missing; add it"),
        ("[", "not valid YAML"),
        ("3", "expected the keys seed, base"),
    ],
)
def test_a_wrong_recipe_is_one_clear_line(tmp_path, text, message) -> None:
    with pytest.raises(UsageError) as error:
        load_recipe(str(recipe_of(tmp_path, text)))
    assert message in str(error.value)
    assert "mine.yaml" in str(error.value)


def test_a_recipe_that_has_no_loss_is_refused() -> None:
    said = "train: beta, sft and bradley_terry are all 0"
    with pytest.raises(UsageError, match=rf"^built-in recipe nano, line \d: {said}"):
        load_recipe("nano", ["train.beta=0", "train.sft=0"])
    assert load_recipe("nano-pairs", ["train.sft=0"]).train.bradley_terry == 1.0
    with pytest.raises(UsageError, match="leave one of them out"):
        load_recipe("nano-pairs", ["data.derive.pointwise=5"])


def test_no_such_recipe() -> None:
    with pytest.raises(UsageError, match='did you mean "nano"'):
        load_recipe("nanoo")
    with pytest.raises(UsageError, match="cannot read the recipe"):
        load_recipe("/nowhere.yaml")


PAIR = Point(
    Sample(id="1", instruction="Q", response_a="left <|im_end|>", response_b="right"),
    Criterion(name="better", question="Which?", scale=Scale.pairwise()),
    "A",
    "g",
    "s/1",
    "s",
)


def test_both_orders_of_a_pair_name_the_same_response() -> None:
    recipe = load_recipe("nano", ["data.compare=both-orders"])
    first, second = pairs_of(PAIR, recipe)
    assert (first.label, second.label) == ("A", "B")
    assert (first.wrong, second.wrong) == ("B", "A")
    text, other = (pair.messages[0].content for pair in (first, second))
    assert text.index("left") < text.index("right")
    assert other.index("right") < other.index("left")
    assert "<|im_end|>" not in text  # what is judged cannot end the prompt
    assert first.template == second.template
    assert first.chosen.endswith(" A")
    assert first.rejected.endswith(" B")
    one = recipe.model_copy(update={"data": recipe.data.model_copy(update={"compare": "together"})})
    assert len(list(pairs_of(PAIR, one))) == 1


@pytest.mark.parametrize("token", sorted(CONTROL_TOKENS))
def test_no_control_token_of_a_sample_is_in_a_prompt(token: str) -> None:
    recipe = load_recipe("nano", ["data.compare=together"])
    sample = PAIR.sample.model_copy(update={"response_a": f"left {token} or so"})
    (pair,) = pairs_of(replace(PAIR, sample=sample), recipe)
    assert f"left {token}" not in pair.messages[-1].content


def test_a_pair_may_be_asked_about_each_response_alone() -> None:
    recipe = load_recipe("nano", ["data.compare=pointwise"])
    first, second = pairs_of(PAIR, recipe)
    assert (first.label, second.label) == ("Yes", "No") == (second.wrong, first.wrong)
    assert first.compared == second.compared == PAIR.name
    texts = [pair.messages[0].content for pair in (first, second)]
    assert ["left" in text for text in texts] == [True, False]
    assert ["right" in text for text in texts] == [False, True]
    assert first.id != second.id
    tie = replace(
        PAIR,
        gold="tie",
        criterion=PAIR.criterion.model_copy(update={"scale": Scale.pairwise(ties=True)}),
    )
    assert list(pairs_of(tie, recipe)) == []


def test_wrong_labels_are_near_and_far_and_never_right() -> None:
    scale = Criterion(question="?", scale=Scale.likert(1, 5))
    points = [replace(PAIR, id=str(n), criterion=scale, gold="4") for n in range(400)]
    wrong = Counter(wrong_label(p, 0) for p in points)
    assert set(wrong) == {"1", "2", "3", "5"}
    assert wrong["3"] + wrong["5"] > 240  # half of them, and their part of the others
    ends = {wrong_label(replace(p, gold="1"), 0) for p in points}
    assert ends == {"2", "3", "4", "5"}


def test_curate_end_to_end(here, tmp_path, few_raw, bench_data) -> None:
    # Real raw sets, and of the benchmarks the one whose training questions overlap.
    (tmp_path / "train").symlink_to(few_raw)
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "auto_j.jsonl.gz").symlink_to(bench_data / "auto_j.jsonl.gz")
    recipe = recipe_of(tmp_path, RECIPE)
    done = mene("curate", recipe, "--data", tmp_path, "-o", tmp_path / "a", "--json")
    assert done.returncode == 1, done.stderr  # auto_j_single_train has a row without response
    assert 'line 297: field "response" is missing or empty' in done.stderr
    said = json.loads(done.stdout)
    assert said["sources"]["auto_j_single_train"]["in_bench"] > 40
    assert said == {
        **json.loads((tmp_path / "a" / "report.json").read_text()),
        "seconds": said["seconds"],
    }
    rows = {
        side: [json.loads(s) for s in (tmp_path / "a" / f"{side}.jsonl").read_text().splitlines()]
        for side in ("train", "dev")
    }
    assert {side: len(found) for side, found in rows.items()} == said["pairs"]
    every = rows["train"] + rows["dev"]
    assert not {r["group"] for r in rows["train"]} & {r["group"] for r in rows["dev"]}
    assert len({r["id"] for r in every}) == len(every)
    assert {r["template"] for r in every} == {"prefix", "selene"}
    labels = Counter(r["label"] for r in every if r["source"] == "q2_wow_consistency")
    assert labels == {"Yes": 30, "No": 30}
    seats = Counter(r["label"] for r in every if r["source"] == "tldr_human")
    assert seats["A"] == seats["B"] == 40
    with gzip.open(bench_data / "auto_j.jsonl.gz", "rt") as file:
        theirs = {json.loads(line)["instruction"] for line in file}
    prompts = [r["messages"][0]["content"] for r in every]
    assert not any(t in p for t in theirs if len(t.split()) > 12 for p in prompts)
    # In another process, whose sets have another order.
    again = here("curate", recipe, "--data", tmp_path, "-o", tmp_path / "b", "-q")
    assert again.returncode == 1
    for name in ("train.jsonl", "dev.jsonl", "report.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_derived_changed_and_argued_points_come_along(tmp_path, few_raw) -> None:
    bench = tmp_path / "bench"
    bench.mkdir()
    with gzip.open(bench / "one.jsonl.gz", "wt") as file:
        file.write('{"instruction": "Who was it that wrote this one line of text?"}\n')
    text = """
data:
  compare: together
  sources: {q2_wow_consistency: 40, saf_short_answer_train: 60}
  derive: {pairs: 50, yes_no: 20}
  perturb: {swap: 30, negation: 10, filler: 20}
  critiques: 1.0
  unique: near
"""
    recipe = load_recipe(str(recipe_of(tmp_path, text)))
    made = curate(recipe, few_raw, bench, tmp_path / "a")
    curate(recipe, few_raw, bench, tmp_path / "b")
    for name in ("train.jsonl", "dev.jsonl", "report.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    report = json.loads((tmp_path / "a" / "report.json").read_text())
    stages = report["stages"]
    for stage, most in (("derive.pairs", 50), ("perturb.swap", 30), ("perturb.negation", 10)):
        assert sum(stages[stage]["made"].values()) == most
    assert made.stages["derive.pairs"].made["q2_wow_consistency"] == 25  # sets in equal parts
    assert made.stages["unique"].dropped.keys() <= {"exact", "near"}
    rows = [
        json.loads(line)
        for side in ("train", "dev")
        for line in (tmp_path / "a" / f"{side}.jsonl").read_text().splitlines()
    ]
    assert len({row["id"] for row in rows}) == len(rows)
    argued = [row for row in rows if row["mode"] == "critique"]
    assert len(argued) == sum(stages["critiques"]["made"].values()) > 20
    assert {row["source"] for row in argued} == {"saf_short_answer_train"}
    assert report["critiques"]["chosen"]["kept"] == len(argued)
    assert 0 < report["critiques"]["chosen"]["share"] < 1
    changed = [row for row in rows if row["id"].partition("~")[2].startswith("negation/supported")]
    assert changed
    assert {row["label"] for row in changed} == {"No"}
    known = {row["id"] for row in rows}
    assert all(row["id"].replace("~negation", "") in known for row in changed)


def test_missing_folders_and_sets_say_what_to_do(here, tmp_path) -> None:
    recipe = recipe_of(tmp_path, RECIPE)
    done = here("curate", recipe, "--data", tmp_path)
    assert done.returncode == 2
    assert "train/ (raw sets) and bench/" in done.stderr
    (tmp_path / "train").mkdir()
    (tmp_path / "bench").mkdir()
    done = here("curate", recipe, "--data", tmp_path, "-o", tmp_path / "out")
    assert done.returncode == 2
    assert "or drop q2_wow_consistency from the recipe" in done.stderr
    assert not (tmp_path / "out").exists()
    assert "mene curate nano" in here("curate").stderr


def test_the_list_of_sets_says_where_each_is_from(here, tmp_path) -> None:
    shown = here("curate", "--list").stdout
    assert "google/BEGIN-dataset@6e65f0d5a1ed" in shown
    assert "functions and versions with one mistake" in shown  # generators too
    for name in ("train", "bench"):
        (tmp_path / name).mkdir()
    (tmp_path / "train" / "bump.jsonl.gz").write_bytes(b"")
    listed = json.loads(here("curate", "--list", "--json", "--data", tmp_path).stdout)
    assert {name for name, one in listed["sources"].items() if one["here"]} == {"bump"}
    assert all(one["licence"] and "@" in one["origin"] for one in listed["sources"].values())
    assert listed["make"]["code"]["tasks"] == "better, Yes/No (own question)"
