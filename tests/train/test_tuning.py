"""The recipe that ``mene tune`` makes, and the command."""

from __future__ import annotations

import json
from typing import Any

import pytest

pytest.importorskip("peft", reason='needs pip install "mene[train]"')

from mene.cli.tune import _copied
from mene.criterion import load_criterion
from mene.curate.make.written import load_items
from mene.errors import UsageError
from mene.judge.preset import load_preset
from mene.recipe import Own
from mene.train.adapter import form_of, start_of
from mene.train.tuning import check_tunable, tuned_preset, tuning

NAMES = {
    "base": (8, 16, 1),
    "small": (16, 32, 1),
    "nano": (16, 32, 0.5),
    "nano-torch": (16, 32, 0.5),
}


@pytest.mark.parametrize("name", NAMES)
def test_the_form_of_an_adapter_is_read_from_it(name: str) -> None:
    assert form_of(start_of(name)) == NAMES[name]


TONE = load_criterion("tone")
HOW: Any = {"epochs": 2, "held_out": 0.3, "longest": 6000, "seed": 7, "dtype": "float32"}


@pytest.mark.parametrize("name", ["base", "nano", "base-untrained"])
def test_a_recipe_continues_a_judge_as_it_asks(name: str) -> None:
    judge = load_preset(name)
    pairs = load_criterion("preference")
    recipe = tuning(judge, Own(rows="rows.jsonl", criterion="preference"), pairs, **HOW)
    assert recipe.adapter is not None and recipe.adapter.start == (name if judge.adapter else None)
    assert recipe.data.templates == {judge.template: 1.0}
    assert (recipe.data.system, recipe.data.compare) == (judge.system, judge.compare)
    assert recipe.train.bradley_terry == 1  # of pairs that are judged alone
    found = tuning(judge, Own(rows="rows.jsonl", criterion="tone"), TONE, **HOW)
    assert found.train.bradley_terry == 0
    assert found.base is not None and found.base.convert is None


def test_a_preset_with_the_name_of_a_judge_keeps_its_own_adapter(tmp_path, monkeypatch) -> None:
    own = tmp_path / "mine.gguf"
    own.write_bytes(start_of("nano").read_bytes())
    judge = load_preset("nano").model_copy(update={"adapter": str(own)})
    found = tuning(judge, Own(rows="rows.jsonl", criterion="tone"), TONE, **HOW)
    assert found.adapter is not None and found.adapter.start == str(own)
    # And a folder with the name of a judge is not taken for its adapter.
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nano").mkdir()
    assert start_of("nano").name == "adapter.gguf"


def test_judges_that_cannot_be_tuned_are_refused() -> None:
    with pytest.raises(UsageError, match="on a server"):
        check_tunable(load_preset("openai:gpt@http://127.0.0.1:1"))
    with pytest.raises(UsageError, match="claim by claim"):
        check_tunable(load_preset("nano").model_copy(update={"claims": True}))


def test_the_tuned_judge_is_asked_as_the_one_before() -> None:
    judge = load_preset("base").model_copy(
        update={"truncate": "context", "compare": "both-orders", "abstain": True}
    )
    found = tuned_preset(judge, "mine", "adapter.gguf", "prefix", TONE)
    assert (found.truncate, found.compare, found.weights) == (
        "context",
        "both-orders",
        judge.weights,
    )
    assert (found.mode, found.abstain, found.adapter) == ("verdict", False, "adapter.gguf")
    # Its reasons are those of the adapter that explained before.
    assert (found.writes, found.explain, found.explainer) == (False, "failing", judge.explainer)
    assert found.explains
    silent = tuned_preset(load_preset("nano"), "mine", "adapter.gguf", "prefix", TONE)
    assert (silent.explains, silent.explain, silent.explainer) == (False, "none", None)
    assert "agrees with people" not in found.warning and found.measured == ("tone",)
    licensed = judge.model_copy(update={"license": "CC-BY-NC-4.0", "warning": "not for sale"})
    warning = tuned_preset(licensed, "mine", "adapter.gguf", "prefix", TONE).warning
    assert warning.endswith("not for sale")


def test_the_adapter_that_explains_moves_with_the_judge(tmp_path) -> None:
    own = tmp_path / "reasons.gguf"
    own.write_bytes(b"one")
    (tmp_path / "peft").mkdir()
    (tmp_path / "peft" / "adapter_config.json").write_text("{}")
    judge = tmp_path / "judge"
    judge.mkdir()
    assert _copied(own, judge / "explainer") == "explainer.gguf"
    assert (judge / "explainer.gguf").read_bytes() == b"one"
    assert _copied(tmp_path / "peft", judge / "explainer") == "explainer"
    assert (judge / "explainer" / "adapter_config.json").exists()


def labelled(count: int, criterion: str = "tone") -> str:
    items = [line for lines in load_items().values() for line in lines]
    rows = [line for line in items if line.get("criterion") == criterion]
    shown = [{k: row[k] for k in ("instruction", "response", "label")} for row in rows]
    return "".join(json.dumps(row) + "\n" for row in shown[:count])


def test_tune_trains_measures_and_saves_a_judge(here, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.jsonl").write_text(labelled(40) + "{broken\n")
    command = ("tune", "rows.jsonl", "-c", "tone", "-j", "nano", "-o", "small", "--epochs", 1)
    done = here(*command, "--json")
    assert done.returncode == 1, done.stderr  # one row was left out
    assert "rows.jsonl, line 41" in done.stderr
    found = json.loads(done.stdout)
    # Its name is that of a built-in judge, which is not measured instead.
    assert found["judge"] == "small/judge.yaml" and 8 <= found["held_out"] <= 20
    assert found["before"]["log_loss"] != found["after"]["log_loss"]
    # Nothing is trained or judged again.
    again = here(*command)
    assert "changes by" in again.stdout and "-c tone --judge small/judge.yaml" in again.stdout
    judge = load_preset("small/judge.yaml")
    assert judge.adapter and judge.compare == "pointwise" and judge.weights.convert == "Q8_0"
    card = (tmp_path / "small" / "README.md").read_text()
    assert "from the adapter `nano`" in card and "rows.jsonl" in card and "license: other" in card
    assert "their terms are on its card" in card and "| after |" in card
    assert " 0 steps" not in card
    # The judge is used as any other.
    shown = here("judge", "rows.jsonl", "-c", "tone", "-j", "small/judge.yaml", "--limit", 2, "-q")
    assert shown.returncode == 0, shown.stderr
    # Other options do not write over it, and rows that it has learned do not measure it.
    done = here(*command[:-1], 2)
    assert done.returncode == 2 and "with other options" in done.stderr
    seen = ("tune", "rows.jsonl", "-c", "tone", "-j", "small/judge.yaml", "--seed", 1)
    done = here(*seen)
    assert done.returncode == 2 and "give --seed 0 --held-out 0.3" in done.stderr


def test_a_refused_run_does_not_block_the_next(here, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.jsonl").write_text(labelled(40).replace('"label"', '"mark"'))
    command = ("tune", "rows.jsonl", "-c", "tone", "-j", "nano", "--epochs", 1)
    assert 'no row has a "label"' in here(*command).stderr
    assert "--map" in here(*command, "--map", "label=nothing").stderr  # not: holds a judge


def test_a_folder_of_something_else_is_left_alone(here, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    rows = tmp_path / "data" / "train.jsonl"
    rows.write_text(labelled(40))
    done = here("tune", "data/train.jsonl", "-c", "tone", "-j", "nano", "-o", ".")
    assert done.returncode == 2 and "not made by mene tune" in done.stderr
    assert rows.read_text() == labelled(40)


def test_rows_that_cannot_teach_or_measure_are_refused(here, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)

    def said(rows: str, *more: object) -> str:
        (tmp_path / "rows.jsonl").write_text(rows)
        name = f"judge-{len(list(tmp_path.iterdir()))}"
        done = here("tune", "rows.jsonl", "-c", "tone", "-j", "nano", "-o", name, *more)
        assert done.returncode == 2
        return done.stderr

    assert "at least 40 are needed" in said(labelled(30))
    one = '{"instruction": "Hi", "response": "Hello", "label": "%d"}\n'
    assert "80 rows of 1 different contexts or texts" in said((one % 1 + one % 5) * 40)
    assert "cannot be used here" in said(labelled(40), "--device", "tpu")
    assert "--held-out" in said(labelled(40), "--held-out", 0.7)
    assert here("tune", "-", "-c", "tone").returncode == 2
