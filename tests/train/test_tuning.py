"""The recipe that ``mene tune`` makes, and the command."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("peft", reason='needs pip install "mene[train]"')

from mene.curate.make.written import load_items
from mene.errors import UsageError
from mene.judge.preset import load_preset
from mene.recipe import Own
from mene.train.adapter import form_of, start_of
from mene.train.tuning import tuning

NAMES = {
    "base": (8, 16, 1),
    "small": (16, 32, 1),
    "nano": (16, 32, 0.5),
    "nano-torch": (16, 32, 0.5),
}


@pytest.mark.parametrize("name", NAMES)
def test_the_form_of_an_adapter_is_read_from_it(name: str) -> None:
    assert form_of(start_of(name)) == NAMES[name]


@pytest.mark.parametrize("name", ["base", "nano", "base-untrained"])
def test_a_recipe_continues_a_judge_as_it_asks(name: str, tmp_path) -> None:
    judge = load_preset(name)
    own = Own(rows=str(tmp_path / "rows.jsonl"), criterion="preference")
    recipe = tuning(judge, [own], epochs=2, held_out=0.3, seed=7, dtype="float32")
    assert recipe.adapter is not None and recipe.adapter.start == (name if judge.adapter else None)
    assert recipe.data.templates == {judge.template: 1.0}
    assert (recipe.data.system, recipe.data.compare) == (judge.system, judge.compare)
    assert recipe.train.bradley_terry == 1  # of pairs that are judged alone
    scores = own.model_copy(update={"criterion": "tone"})
    found = tuning(judge, [scores], epochs=2, held_out=0.3, seed=7, dtype="float32")
    assert found.train.bradley_terry == 0
    assert found.base is not None and found.base.convert is None


def test_a_judge_on_a_server_cannot_be_trained() -> None:
    own = Own(rows="rows.jsonl", criterion="tone")
    with pytest.raises(UsageError, match="on a server"):
        tuning(
            load_preset("openai:gpt@http://127.0.0.1:1"),
            [own],
            epochs=1,
            held_out=0.3,
            seed=0,
            dtype="float32",
        )


def labelled(count: int, criterion: str = "tone") -> str:
    items = [line for lines in load_items().values() for line in lines]
    rows = [line for line in items if line.get("criterion") == criterion]
    shown = [{k: row[k] for k in ("instruction", "response", "label")} for row in rows]
    return "".join(json.dumps(row) + "\n" for row in shown[:count])


def test_tune_trains_measures_and_saves_a_judge(here, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.jsonl").write_text(labelled(40) + "{broken\n")
    command = ("tune", "rows.jsonl", "-c", "tone", "-j", "nano", "--epochs", 1, "--json")
    done = here(*command)
    assert done.returncode == 1, done.stderr  # one row was left out
    assert "rows.jsonl, line 41" in done.stderr
    found = json.loads(done.stdout)
    assert found["judge"] == "nano-tone" and 5 <= found["held_out"] <= 20
    assert found["before"]["log_loss"] != found["after"]["log_loss"]
    # Nothing is trained or judged again.
    again = json.loads(here(*command).stdout)
    assert again == found
    judge = load_preset("nano-tone")
    assert judge.adapter and judge.compare == "pointwise" and judge.name == "nano-tone"
    card = (tmp_path / "nano-tone" / "README.md").read_text()
    assert "from the adapter `nano`" in card and "rows.jsonl" in card
    # The judge is used as any other.
    shown = here(
        "judge", "rows.jsonl", "-c", "tone", "-j", "nano-tone", "--limit", 2, "-q", "--json"
    )
    assert shown.returncode == 0, shown.stderr


def test_too_few_rows_are_refused(here, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.jsonl").write_text(labelled(30))
    done = here("tune", "rows.jsonl", "-c", "tone", "-j", "nano")
    assert done.returncode == 2 and "at least 40 are needed" in done.stderr
    assert here("tune", "-", "-c", "tone").returncode == 2
