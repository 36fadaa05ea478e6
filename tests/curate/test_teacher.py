"""``mene curate --teacher``: the command, stopped and started again, against a small server and the real model."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from halting import Server

from mene.cli.curate import check_asked
from mene.curate.critiques import critique
from mene.curate.critiques.kept import count
from mene.curate.pair import read_pairs
from mene.curate.run import curate
from mene.engines.llamacpp.engine import LlamaCppEngine
from mene.errors import UsageError
from mene.events import nowhere
from mene.recipe import load_recipe

RECIPE = """
data:
  development: 0.2
  sources: {SOURCE: 40}
  critiques: 1.0
"""
ROWS = 12
PATIENCE_S = 300  # of a busy machine


def folders(tmp_path: Path, name: str, rows: list[dict]) -> Path:
    """A data folder with one raw set, and a recipe for it."""
    for folder in ("train", "bench"):
        (tmp_path / folder).mkdir()
    with gzip.open(tmp_path / "train" / f"{name}.jsonl.gz", "wt") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    with gzip.open(tmp_path / "bench" / "one.jsonl.gz", "wt") as file:
        file.write('{"instruction": "Who was it that wrote this one line of text?"}\n')
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(RECIPE.replace("SOURCE", name))
    return recipe


@pytest.fixture
def recipe(tmp_path) -> Path:
    rows = [
        {
            "id": str(n),
            "context": f"It was built in {1800 + 7 * n} and has {n + 3} doors.",
            "response": f"The house has {n + 3} doors, all of them green.",
            "label": "yes" if n % 2 else "no",
        }
        for n in range(ROWS)
    ]
    return folders(tmp_path, "q2_wow_consistency", rows)


def answer(text: str) -> str:
    """What a teacher says, or a scorer, who likes what is long."""
    if "Critique A:" in text:
        first, second = text.rpartition("Critique A:")[2].split("Critique B:")
        return f"**Result:** {'A' if len(first) > len(second) else 'B'}"
    label = text.rpartition("result is: ")[2].split()[0]
    why = f"They say so, and it is {'quite ' * (sum(text.encode()) % 4)}plain."
    return f"**Reasoning:** {why}\n\n**Result:** {label}"


@pytest.fixture
def server():
    server = Server(answer)
    yield server
    server.end()


def start(recipe: Path, *more: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "mene", "curate", recipe, "--data", recipe.parent]
    return subprocess.Popen(
        [*map(str, command), *map(str, more), "-o", str(recipe.parent / "out")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "MENE_DATA": ""},
    )


def stop(process: subprocess.Popen[str], answers: Path, lines: int, number: int) -> tuple[int, str]:
    """Stop a run once its file has so many lines; the exit code and what it said."""
    deadline = time.monotonic() + PATIENCE_S
    while not answers.exists() or answers.read_bytes().count(b"\n") < lines:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(number)
    return process.wait(PATIENCE_S), process.communicate()[1]


@pytest.mark.posix
def test_stopped_and_killed_it_asks_nothing_twice(recipe, server) -> None:
    out = recipe.parent / "out"
    answers = out / "critiques.jsonl"
    server.begin(5)
    code, said = stop(start(recipe, "--teacher", server.spec), answers, 5, signal.SIGINT)
    assert code == 130
    assert f"mene: stopped; 5 critiques and 0 comparisons are saved in {answers}; run the" in said
    assert "Traceback" not in said
    assert count(answers) == (5, 0)
    assert not (out / "train.jsonl").exists()

    server.begin(4)
    code, _ = stop(start(recipe, "--teacher", server.spec), answers, 9, signal.SIGKILL)
    assert code == -signal.SIGKILL
    answers.write_bytes(answers.read_bytes()[:-7])
    asked = server.asked.total()

    server.begin(1000)
    process = start(recipe, "--teacher", server.spec, "--json")
    told, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, said
    assert "is incomplete, because its writer was killed" in said
    assert f"critiques {2 * ROWS} of {2 * ROWS}" in said
    report = json.loads(told)
    assert count(answers) == (2 * ROWS, 2 * ROWS)
    assert server.asked.total() - asked == 2 * ROWS - 8 + 2 * ROWS
    assert max(server.asked.values()) <= 3  # those that were under way when it was stopped
    pairs = report["stages"]["critiques"]["made"]["q2_wow_consistency"]
    assert pairs == ROWS
    scorer = report["stages"]["scorer"]
    assert 0 < scorer["made"]["q2_wow_consistency"] < ROWS
    assert scorer["dropped"].keys() == {"not preferred"}
    assert report["answers"]["asked"] + report["answers"]["reused"] == 2 * ROWS + 2 * pairs

    before = {path.name: path.read_bytes() for path in out.iterdir() if path.suffix}
    asked = server.asked.total()
    process = start(recipe, "--teacher", server.spec)
    told, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, said
    assert f"0 answers, {2 * ROWS + 2 * pairs} more from critiques.jsonl" in told
    assert server.asked.total() == asked
    assert {path.name: path.read_bytes() for path in out.iterdir() if path.suffix} == before
    written = [pair for pair in read_pairs(out / "train.jsonl") if pair.mode == "critique"]
    assert written
    for pair in written:
        assert len(pair.chosen) > len(pair.rejected)  # what this scorer goes by


@pytest.mark.parametrize(
    ("changes", "teacher", "scorer", "message"),
    [
        (["data.critiques=0"], "nano", None, "data.critiques=0.3 --teacher nano`"),
        (
            ["data.critiques=0"],
            None,
            "nano",
            "data.critiques and data.reasons are 0, so --scorer has",
        ),
        ([], "nano", None, "--teacher nano: nano was trained to give labels only"),
        (["data.margin=0"], "base", "nano", "data.margin is 0, so --scorer has nothing to do"),
        (["data.margin=1"], None, None, "data.margin: Input should be less than 1"),
        (["data.critique=1"], None, None, 'data: unknown key "critique"; did you mean "critiques"'),
    ],
)
def test_what_cannot_be_is_refused(recipe, changes, teacher, scorer, message) -> None:
    with pytest.raises(UsageError) as error:
        check_asked("mine", load_recipe(str(recipe), changes), teacher, scorer)
    assert message in str(error.value)


def test_a_teacher_may_write_reasons_alone(recipe) -> None:
    changed = load_recipe(str(recipe), ["data.critiques=0", "data.reasons=0.5"])
    check_asked("mine", changed, "base", "nano")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--teacher", "nano", "data.critiques=0"], "data.critiques=0.3 --teacher nano`"),
        (["--teacher", "nanoo"], 'no judge "nanoo"; did you mean "nano"'),
    ],
)
def test_it_is_said_before_any_work(here, recipe, arguments, message) -> None:
    command = ["curate", recipe, "--data", recipe.parent, "-o", recipe.parent / "out"]
    done = here(*command, *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert not (recipe.parent / "out").exists()


def test_the_real_model_teaches_and_scores(tmp_path, bench_data, small_model, monkeypatch) -> None:
    raw = bench_data.parent / "train" / "saf_short_answer_train.jsonl.gz"
    if not raw.is_file():
        pytest.skip("no training data")
    with gzip.open(raw, "rt") as file:
        rows = [json.loads(line) for line in file]
    rows = sorted(rows, key=lambda row: len(row["response"]) + len(row["instruction"]))[:6]
    recipe = load_recipe(str(folders(tmp_path, "saf_short_answer_train", rows)))
    monkeypatch.setattr(critique, "TOKENS", 24)

    def run() -> tuple[bytes, dict]:
        teacher = LlamaCppEngine(small_model, slots=8)
        opened = []

        def scorer() -> LlamaCppEngine:
            teacher.close()
            opened.append(LlamaCppEngine(small_model))
            return opened[0]

        made = curate(
            recipe,
            tmp_path / "train",
            tmp_path / "bench",
            tmp_path / "out",
            teacher=teacher,
            scorer=scorer,
            events=nowhere,
        )
        for engine in (teacher, *opened):
            engine.close()
        assert made.price is not None
        report = json.loads((tmp_path / "out" / "report.json").read_text())
        return (tmp_path / "out" / "train.jsonl").read_bytes(), {**report, "price": made.price}

    path = tmp_path / "out" / "critiques.jsonl"
    written, report = run()
    stages = report["stages"]
    lines = path.read_bytes().splitlines(keepends=True)
    critiques, comparisons = count(path)
    assert report["price"].asked == critiques + comparisons == len(lines)
    argued = stages["critiques"]["made"].get("saf_short_answer_train", 0)
    assert argued + sum(stages["critiques"]["dropped"].values()) >= len(rows)
    assert comparisons == 2 * argued > 0
    scored = stages["scorer"]
    assert sum(scored["made"].values()) + sum(scored["dropped"].values()) == argued
    for line in map(json.loads, lines[critiques:]):
        assert sum(line["probabilities"].values()) == pytest.approx(1)
    # Torn in the middle of the last line: only that one is asked again.
    path.write_bytes(b"".join(lines)[:-20])
    again, report = run()
    assert again == written
    assert (report["price"].asked, report["price"].reused) == (1, len(lines) - 1)
    assert path.read_bytes().startswith(b"".join(lines[:-1]))
