"""Training runs on a tiny model: they go on after a kill, refuse what has changed, and stop when the loss breaks."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mene.cli.training import note
from mene.curate.pair import Pair
from mene.errors import MeneError, UsageError
from mene.message import Message
from mene.recipe import Recipe, load_recipe
from mene.train import run as runs
from mene.train import trainer
from mene.train.adapter import start_of
from mene.train.examples import sample
from mene.train.run import train
from mene.train.store import last_checkpoint

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
load_file = pytest.importorskip("safetensors.torch").load_file


def pair(number: int, *, critique: bool = False, **more: Any) -> Pair:
    label, wrong = ("Yes", "No") if number % 2 else ("No", "Yes")
    reason = f"{number} is {'odd' if number % 2 else 'even'}." if critique else ""
    return Pair(
        id=f"odd/{number}",
        source="odd",
        mode="critique" if critique else "verdict",
        messages=(Message("user", f"Is the number odd? The number is {number}."),),
        labels=("Yes", "No"),
        label=label,
        wrong=wrong,
        critique=reason,
        rejected_critique=reason,
        opening="**Reasoning:**",
        cue="**Result:**",
        group=str(number),
    ).model_copy(update=more)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    rows = [pair(n, critique=n % 3 == 0) for n in range(60)]
    (folder / "train.jsonl").write_text("".join(row.to_json() + "\n" for row in rows))
    held = [pair(n) for n in range(100, 112)]
    (folder / "dev.jsonl").write_text("".join(row.to_json() + "\n" for row in held))
    return folder


def recipe_text(base: Path, compare: str = "both-orders", **settings: Any) -> str:
    chosen = {
        "learning_rate": 5e-3,
        "pack_tokens": 64,
        "packs": 2,
        "dtype": "float32",
        "checkpoint": 2,
        "evaluate": 2,
    } | settings
    return json.dumps(
        {
            "base": {"path": str(base)},
            "adapter": {"rank": 4, "upper": 0.5},
            "train": chosen,
            "data": {"sources": {"hanna": 1}, "compare": compare},
        }
    )


@pytest.fixture
def recipe_of(base: Path, tmp_path: Path) -> Any:
    def make(**settings: Any) -> Recipe:
        path = tmp_path / "mine.yaml"
        path.write_text(recipe_text(base, **settings))
        return load_recipe(str(path))

    return make


@pytest.fixture(autouse=True)
def every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer, "LOGGED", 1)


def losses(output: Path) -> dict[int, float]:
    lines = [json.loads(text) for text in (output / "log.jsonl").read_text().splitlines()]
    found = {line["step"]: line["loss"] for line in lines if "loss" in line}
    assert len(found) == len([line for line in lines if "loss" in line])  # no step twice
    return found


def test_a_stopped_run_goes_on(data: Path, recipe_of: Any, tmp_path: Path) -> None:
    recipe = recipe_of(epochs=3, packs=1)
    whole = train(recipe, data, tmp_path / "whole", device="cpu")
    assert whole == tmp_path / "whole" / "adapter"
    assert (whole / "adapter_model.safetensors").exists()
    curve = losses(tmp_path / "whole")
    assert curve[max(curve)] < curve[1]

    steps = iter([False] * 4 + [True] * 100)
    parts = tmp_path / "parts"
    assert train(recipe, data, parts, device="cpu", stopping=lambda: next(steps)) is None
    assert not (parts / "adapter").exists()
    assert train(recipe, data, parts, device="cpu") == parts / "adapter"
    assert losses(parts) == pytest.approx(curve, abs=1e-5)


@pytest.mark.parametrize("beta", [0.0, 0.1])
def test_kept_lower_layers_give_the_same_run(
    data: Path, recipe_of: Any, tmp_path: Path, beta: float
) -> None:
    plain = train(recipe_of(epochs=2, beta=beta), data, tmp_path / "plain", device="cpu")
    kept = tmp_path / "kept"
    recipe = recipe_of(epochs=2, beta=beta, keep_lower=True)
    stops = iter([False] * 3 + [True] * 100)
    assert train(recipe, data, kept, device="cpu", stopping=lambda: next(stops)) is None
    before = {path: path.stat().st_mtime_ns for path in (kept / "lower").iterdir()}
    assert len(before) == 3
    found = train(recipe, data, kept, device="cpu")
    assert all(path.stat().st_mtime_ns == when for path, when in before.items())  # not again
    assert losses(kept) == pytest.approx(losses(tmp_path / "plain"), rel=1e-3)
    assert plain is not None and found is not None
    one, other = (load_file(folder / "adapter_model.safetensors") for folder in (plain, found))
    assert one.keys() == other.keys()  # the layers keep their numbers


def test_lower_layers_that_cannot_be_kept(data: Path, recipe_of: Any, tmp_path: Path) -> None:
    recipe = recipe_of(epochs=2, keep_lower=True)
    whole = recipe.model_copy(update={"adapter": recipe.adapter.model_copy(update={"upper": 1.0})})
    with pytest.raises(UsageError, match="every layer is trained"):
        train(whole, data, tmp_path / "whole", device="cpu")
    assert train(recipe, data, tmp_path / "run", device="cpu")
    for path in (tmp_path / "run" / "lower").iterdir():
        path.write_bytes(path.read_bytes()[:-100])
    for folder in [*(tmp_path / "run").glob("checkpoint-*"), tmp_path / "run" / "adapter"]:
        shutil.rmtree(folder)
    with pytest.raises(UsageError, match="damaged"):
        train(recipe, data, tmp_path / "run", device="cpu")


def test_a_run_goes_on_from_the_adapter_of_another(
    data: Path, recipe_of: Any, tmp_path: Path
) -> None:
    def judged(output: Path) -> list[dict[str, Any]]:
        lines = [json.loads(text) for text in (output / "log.jsonl").read_text().splitlines()]
        return [line for line in lines if "dev_log_loss" in line]

    first = recipe_of(pairs=20)
    found = train(first, data, tmp_path / "first", device="cpu")
    assert first.adapter is not None

    def with_(**changes: Any) -> Recipe:
        adapter = first.adapter.model_copy(update={"start": str(found), **changes})
        return first.model_copy(update={"adapter": adapter})

    second = tmp_path / "second"
    train(with_(), data, second, device="cpu")
    before, after = judged(tmp_path / "first")[-1], judged(second)[0]
    assert (after["step"], after["dev_log_loss"]) == (0, pytest.approx(before["dev_log_loss"]))
    assert judged(tmp_path / "first")[0]["dev_log_loss"] != pytest.approx(after["dev_log_loss"])

    for number, (changes, message) in enumerate(
        [
            ({"rank": 8}, "another rank"),
            ({"alpha": 8.0}, "another rank, alpha"),
            ({"upper": 1.0}, "share of the layers"),
            ({"start": str(tmp_path / "first")}, "no adapter_model.safetensors there"),
            ({"start": "nano"}, "another base"),  # in llama.cpp's form
        ]
    ):
        with pytest.raises(UsageError, match=message):
            train(with_(**changes), data, tmp_path / f"not{number}", device="cpu")
    assert start_of("nano-torch").name == "adapter"
    (found / "adapter_model.safetensors").write_bytes(b"not safetensors")
    with pytest.raises(UsageError, match="another data"):  # a resumed run
        train(with_(), data, second, device="cpu")
    with pytest.raises(UsageError, match="cannot be read"):
        train(with_(), data, tmp_path / "not", device="cpu")


def test_a_folder_belongs_to_one_training(data: Path, recipe_of: Any, tmp_path: Path) -> None:
    inside: list[str] = []

    def again(line: dict[str, Any]) -> None:
        with pytest.raises(UsageError, match="another training is writing here"):
            train(recipe_of(pairs=20), data, tmp_path / "run", device="cpu")
        inside.append("refused")

    assert train(recipe_of(pairs=20), data, tmp_path / "run", device="cpu", report=again)
    assert inside


def test_a_run_is_stopped_in_an_evaluation_too(data: Path, recipe_of: Any, tmp_path: Path) -> None:
    recipe = recipe_of(pairs=20, pack_tokens=64)
    told: list[str] = []
    done = train(
        recipe,
        data,
        tmp_path / "run",
        device="cpu",
        events=lambda event: told.append(getattr(event, "work", "")),
        stopping=lambda: "judging" in told,
    )
    assert done is None  # before the first step
    assert "loss" not in (tmp_path / "run" / "log.jsonl").read_text()
    assert train(recipe, data, tmp_path / "run", device="cpu") is not None
    lines = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    assert json.loads(lines[0])["step"] == 0  # the figures before the training are there


def test_a_frozen_part_of_the_adapter_stays_as_it_starts(
    data: Path, recipe_of: Any, tmp_path: Path
) -> None:
    def adapter(run: Path | None) -> dict[str, torch.Tensor]:
        assert run is not None
        return load_file(run / "adapter_model.safetensors")

    recipe = recipe_of(pairs=20)
    whole = recipe.model_copy(update={"adapter": recipe.adapter.model_copy(update={"upper": 1.0})})
    first = train(whole, data, tmp_path / "first", device="cpu")
    on = whole.adapter.model_copy(update={"start": str(first), "frozen": 0.5})
    second = train(
        whole.model_copy(update={"adapter": on}), data, tmp_path / "second", device="cpu"
    )
    before, after = adapter(first), adapter(second)
    assert before.keys() == after.keys()
    same = {name for name in before if torch.equal(before[name], after[name])}
    assert same == {name for name in before if ".layers.0." in name}
    with pytest.raises(UsageError, match=r"keep_lower.*adapter\.frozen"):
        Recipe.model_validate(
            recipe.model_dump() | {"adapter": on.model_dump()}
            | {"train": recipe.train.model_dump() | {"keep_lower": True}}
        )  # fmt: skip


def test_full_training_and_each_loss_alone(data: Path, base: Path, tmp_path: Path) -> None:
    easy = tmp_path / "easy"  # always Yes
    easy.mkdir()
    for name in ("train.jsonl", "dev.jsonl"):
        lines = (data / name).read_text().splitlines()
        yes = [line for line in lines if json.loads(line)["label"] == "Yes"]
        (easy / name).write_text("\n".join(yes) + "\n")
    for name, settings in {"dpo": {"sft": 0, "beta": 2}, "sft": {"beta": 0}}.items():
        settings |= {"pairs": 20, "epochs": 4, "learning_rate": 2e-2}
        text = json.loads(recipe_text(base, **settings)) | {"adapter": None}
        (tmp_path / "full.yaml").write_text(json.dumps(text))
        recipe = load_recipe(str(tmp_path / "full.yaml"))
        found = train(recipe, easy, tmp_path / name, device="cpu")
        assert found == tmp_path / name / "model"
        curve = losses(tmp_path / name)
        assert curve[max(curve)] < 0.9 * curve[1]
        assert transformers.AutoModelForCausalLM.from_pretrained(found).dtype == torch.float32


def test_pairs_asked_alone_are_learned_by_comparison(
    data: Path, recipe_of: Any, tmp_path: Path
) -> None:
    alone = tmp_path / "alone"  # what says that it is odd against what does not
    alone.mkdir()
    for name in ("train.jsonl", "dev.jsonl"):
        rows = [json.loads(line) for line in (data / name).read_text().splitlines()]
        rows = [row for row in rows if row["mode"] == "verdict"]
        for row in rows:
            word = "odd" if row["label"] == "Yes" else "even"
            row["messages"][0]["content"] = f"Is {row['id']} odd? {word}"
        halves = [row | {"compared": f"p{at // 2}"} for at, row in enumerate(rows[:-2])]
        lines = [json.dumps(row) + "\n" for row in halves + rows[-2:]]
        (alone / name).write_text("".join(lines))
    settings = {"beta": 0, "bradley_terry": 1.0, "epochs": 6, "learning_rate": 1e-2, "evaluate": 1}
    with pytest.raises(UsageError, match=r"set data\.compare: pointwise"):
        recipe_of(**settings)
    recipe = recipe_of(**settings, compare="pointwise")
    said: list[str] = []
    train(
        recipe,
        alone,
        tmp_path / "run",
        device="cpu",
        report=lambda line: said.append(note(line, None) if "loss" in line else ""),
    )
    assert not any("margin" in text for text in said)
    lines = [json.loads(text) for text in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    curve = [line["bradley_terry"] for line in lines if "bradley_terry" in line]
    assert curve[0] == pytest.approx(math.log(2), abs=0.05)  # an untrained model tells nothing
    assert np.mean(curve[-5:]) < 0.9 * curve[0]
    judged = (tmp_path / "run" / "development.jsonl").read_text().splitlines()
    found = [json.loads(text)["labels"] for text in judged]
    assert (found.count(["A", "B"]), found.count(["Yes", "No"])) == (5, 2)


def test_a_compared_pair_counts_once_and_takes_the_place_of_its_parts(
    data: Path, recipe_of: Any, tmp_path: Path
) -> None:
    recipe = recipe_of(beta=0, bradley_terry=3.0, packs=1, pack_tokens=4096, compare="pointwise")
    with pytest.raises(UsageError, match="needs pairs whose responses are judged alone"):
        train(recipe, data, tmp_path / "none", device="cpu")
    own = tmp_path / "alone"
    own.mkdir()
    rows = [pair(n, compared=f"p{n // 2}" if n < 6 else None) for n in range(10)]
    for name in ("train.jsonl", "dev.jsonl"):
        (own / name).write_text("".join(row.to_json() + "\n" for row in rows))
    train(recipe, own, tmp_path / "run", device="cpu")
    lines = [json.loads(t) for t in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    [first] = [line for line in lines if line.get("step") == 1 and "loss" in line]
    # 3 pairs and 4 questions by themselves, in one pack.
    assert first["loss"] == pytest.approx(
        (3 * 3.0 * first["bradley_terry"] + 4 * first["sft"]) / 7, rel=1e-4
    )


def test_a_run_from_before_a_setting_was_known_goes_on(
    data: Path, recipe_of: Any, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    runs.begin(recipe_of(), data, run)
    known = json.loads((run / "run.json").read_text())
    del known["recipe"]["train"]["bradley_terry"]
    (run / "run.json").write_text(json.dumps(known))
    runs.begin(recipe_of(), data, run)
    with pytest.raises(UsageError, match="another recipe"):
        runs.begin(recipe_of(beta=0.3), data, run)


def test_a_cut_leaves_the_parts_of_a_pair_together() -> None:
    rows = [pair(n, compared=f"p{n // 2}", group=f"g{n // 2}") for n in range(20)]
    for most in range(1, 20):
        found = [row.compared for row in sample(rows, most, 0)]
        assert len(found) == (most - most % 2 or 2)
        assert all(found.count(name) == 2 for name in found)


@pytest.mark.posix
def test_kill_9_and_go_on(data: Path, base: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(recipe_text(base, epochs=4))
    output = tmp_path / "killed"
    # It stands still behind its second checkpoint, so that it cannot end before it is killed.
    code = (
        "import time, mene.train.trainer as t; t.LOGGED = 1; step = t.JointTrainer.training_step\n"
        "def wait(self, *a, **k): return (self.state.global_step > 2 and time.sleep(600)) or step(self, *a, **k)\n"
        "t.JointTrainer.training_step = wait\nfrom mene.cli.app import main; main()"
    )
    command = [sys.executable, "-c", code, "train", str(path)]
    command += ["--data", str(data), "--output", str(output), "--device", "cpu", "--quiet"]
    train(load_recipe(str(path)), data, output.with_name("whole"), device="cpu")

    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while last_checkpoint(output) is None:
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert not (output / "adapter").exists()
    assert max(losses(output)) < max(losses(output.with_name("whole")))
    train(load_recipe(str(path)), data, output, device="cpu")
    assert losses(output) == pytest.approx(losses(output.with_name("whole")), abs=1e-5)


def test_a_checkpoint_that_was_cut_short_is_passed_over(tmp_path: Path) -> None:
    assert last_checkpoint(tmp_path) is None
    for number, state in {8: "{}", 9: None, 10: "{"}.items():
        folder = tmp_path / f"checkpoint-{number}"
        folder.mkdir()
        if state:
            (folder / "trainer_state.json").write_text(state)
    assert last_checkpoint(tmp_path) == tmp_path / "checkpoint-8"


@pytest.mark.skipif(os.cpu_count() == 1, reason="two processes on one core")
def test_two_processes_have_the_loss_of_one(data: Path, base: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(recipe_text(base, pairs=40))
    script = tmp_path / "go.py"
    script.write_text(
        "import mene.train.trainer as t; t.LOGGED = 1\nfrom mene.cli.app import main; main()\n"
    )
    train(load_recipe(str(path)), data, tmp_path / "one", device="cpu")
    command = [
        *(sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2"),
        *("--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"),
        *(str(script), "train", str(path), "--data", str(data), "--quiet"),
        *("--device", "cpu", "--checkpoints", str(tmp_path / "store"), "--output"),
    ]
    for place in ("two", "elsewhere"):  # both processes restore there what the first two have sent
        done = subprocess.run(
            [*command, str(tmp_path / place)], timeout=300, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr[-2000:]
        assert losses(tmp_path / place) == pytest.approx(losses(tmp_path / "one"), abs=1e-4)
        # Each computes half of the reference; together they have the whole, in order.
        one, both = (np.load(tmp_path / name / "reference.npz") for name in ("one", place))
        assert one.files == both.files
        assert all(both[name] == pytest.approx(one[name], abs=1e-4) for name in one.files)
        shutil.rmtree(
            max((tmp_path / "store").glob("checkpoint-*"), key=lambda p: int(p.name[11:]))
        )


BEGUN_BY_MANY = """\
import sys
from pathlib import Path
from mene.recipe import load_recipe
from mene.train.begin import begin
recipe = load_recipe(sys.argv[1])
sys.stdin.readline()
for number in range(200):
    begin(recipe, Path(sys.argv[2]), Path(sys.argv[3]))
"""


def test_processes_that_begin_together_do_not_read_half_a_file(
    data: Path, recipe_of: Any, tmp_path: Path
) -> None:
    recipe_of()
    command = [sys.executable, "-c", BEGUN_BY_MANY, tmp_path / "mine.yaml", data, tmp_path / "run"]
    pipe = subprocess.PIPE
    several = [subprocess.Popen(command, stdin=pipe, stderr=pipe, text=True) for _ in range(3)]
    for process in several:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    assert [process.communicate(timeout=120)[1] for process in several] == [""] * 3


def test_machines_with_other_checkpoints_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "gather_object", lambda own: [*own, "checkpoint-20"])
    with pytest.raises(UsageError, match=r"different checkpoints \(checkpoint-20, none\); copy"):
        runs._resumed(tmp_path)


def test_a_folder_or_store_that_cannot_be_made_is_one_line(
    data: Path, recipe_of: Any, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(UsageError, match="cannot write here: .*; give another --checkpoints$"):
        train(recipe_of(), data, tmp_path / "run", device="cpu", store=str(file / "store"))
    with pytest.raises(UsageError, match="cannot write here: .*; use --output$"):
        train(recipe_of(), data, file / "run", device="cpu", store=str(tmp_path / "store"))


def test_another_recipe_or_other_data_is_refused(
    data: Path, recipe_of: Any, tmp_path: Path
) -> None:
    output = tmp_path / "run"
    train(recipe_of(pairs=6), data, output, device="cpu")
    with pytest.raises(UsageError, match="another recipe"):
        train(recipe_of(pairs=7), data, output, device="cpu")
    changed = tmp_path / "data"
    changed.mkdir()
    for name in ("train.jsonl", "dev.jsonl"):
        (changed / name).write_text((data / name).read_text() * 2)
    with pytest.raises(UsageError, match="another data"):
        train(recipe_of(pairs=6), changed, output, device="cpu")
    # A store of checkpoints would refill an empty folder with the other run: it is refused before anything is copied.
    empty = tmp_path / "empty"
    with pytest.raises(
        UsageError, match="checkpoints of a run with another recipe; give another --checkpoints"
    ):
        train(recipe_of(pairs=7), data, empty, device="cpu", store=str(output))
    assert [file.name for file in empty.iterdir()] == [".running"]  # the lock


def test_a_loss_that_breaks_stops_the_run_and_keeps_the_batch(
    data: Path, recipe_of: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = trainer.completion_logps
    monkeypatch.setattr(
        trainer, "completion_logps", lambda model, batch: real(model, batch) * float("nan")
    )
    with pytest.raises(MeneError, match="the loss is nan at step 0"):
        train(recipe_of(beta=0), data, tmp_path / "run", device="cpu")
    batch = torch.load(tmp_path / "run" / "not-finite.pt")
    assert batch["input_ids"].shape[0] == 1


@pytest.mark.parametrize(
    ("line", "message"),
    [("{", "line 1: not JSON"), ('{"id": "a"}', 'line 1: field "source" is missing')],
)
def test_bad_pairs(line: str, message: str, data: Path, recipe_of: Any, tmp_path: Path) -> None:
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "train.jsonl").write_text(line + "\n")
    (bad / "dev.jsonl").write_text((data / "dev.jsonl").read_text())
    with pytest.raises(UsageError, match=message):
        train(recipe_of(), bad, tmp_path / "run", device="cpu")


def test_missing_data(recipe_of: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="make it with `mene curate"):
        train(recipe_of(), tmp_path / "nowhere", tmp_path / "run", device="cpu")
