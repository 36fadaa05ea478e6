"""``mene bench``, ``leaderboard`` and ``align``, end to end on the real small model and real rows."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from mene import Judge
from mene.bench.data import Item
from mene.bench.sets import all_sets
from mene.cli import align as align_screen
from mene.cli import bench_sets
from mene.cli.bench import BenchOptions
from mene.cli.bench_tables import tell_failed
from mene.cli.console import Screen
from mene.cli.probe import probe
from mene.criterion import load_criterion
from mene.judge.open import open_engine
from mene.sample import Sample
from mene.verdict import Verdict

pytestmark = pytest.mark.usefixtures("opened_once")

RAG = Path(__file__).parents[2] / "examples" / "rag.jsonl"


def test_bench_measures_resumes_and_shows(here, tmp_path, bench_data, small_model) -> None:
    where = ["--data", bench_data.parent, "-o", tmp_path / "r", "-m", "verdict"]
    command = ["bench", "--suite", "eval_bias_bench,flask", "--limit", 4, *where]
    first = here(*command, "--json")
    assert first.returncode == 0, first.stderr
    said = json.loads(first.stdout)
    found = said["judges"]["nano"]["eval_bias_bench"]
    assert found["rows"] == found["counted"] == 4
    assert found["figure"]["value"] in (0, 0.25, 0.5, 0.75, 1)
    assert found["figure"]["low"] is None  # four rows are too few for an interval
    assert set(found["baselines"]) == {"majority", "longer"}
    assert said["not_run"] == ["flask"]
    ledger = tmp_path / "r" / "nano" / "eval_bias_bench.verdict.jsonl"
    before = ledger.read_bytes()
    again = here(*command)
    assert ledger.read_bytes() == before
    assert "EvalBiasBench" in again.stdout
    assert "not run" in again.stdout
    assert "Note:" not in again.stderr  # here the figures speak
    board = here("leaderboard", tmp_path / "r")
    assert board.returncode == 0, board.stderr
    assert "(sample of 4, parts together)" in board.stdout
    assert (tmp_path / "r" / "leaderboard.html").stat().st_size > 5_000


def test_the_list_as_json(here, bench_data) -> None:
    done = here("bench", "--list", "--json", "--data", bench_data)
    assert done.returncode == 0, done.stderr
    here = {one["name"]: one["here"] for one in json.loads(done.stdout)}
    assert here["felm"] is True
    assert here["flask"] is False


@pytest.mark.parametrize("width", [60, 80, 200])
def test_the_list_cuts_no_place_off(capsys, monkeypatch, width) -> None:
    """At 80 columns it had `github:prometh…` and `llmbar_case_st…`."""
    monkeypatch.setattr(bench_sets, "Screen", lambda **_: Screen(width=width))
    monkeypatch.setattr(Screen, "is_terminal", True)
    bench_sets.list_sets(None, as_json=False)
    shown = "".join(capsys.readouterr().out.split())
    assert "…" not in shown
    for one in all_sets().values():
        assert one.name in shown
        assert "".join(one.home.split()) in shown


@pytest.mark.parametrize("suite", ["domian", "bias:domian"])
def test_a_wrong_suite_is_said_before_missing_data(here, monkeypatch, suite) -> None:
    monkeypatch.delenv("MENE_DATA", raising=False)
    done = here("bench", "--suite", suite)
    assert 'no suite or benchmark "domian"; did you mean "domain"?' in done.stderr


@pytest.mark.parametrize(("suite", "name"), [("felm", "summary.json"), ("bias:felm", "bias.json")])
def test_results_that_cannot_be_read_are_found_before_any_time_is_spent(
    here, suite, name, tmp_path, bench_data
) -> None:
    (tmp_path / "openai_m_http_localhost_1").mkdir()
    (tmp_path / "openai_m_http_localhost_1" / name).write_text("{torn")
    command = ["bench", "--suite", suite, "--judge", "openai:m@http://localhost:1", "--limit", 1]
    done = here(*command, "--data", bench_data, "-o", tmp_path)
    assert done.returncode == 2
    assert f"{name}: cannot be read" in done.stderr
    assert len(list(tmp_path.rglob("*"))) == 2


def test_rows_without_a_verdict_are_said_with_the_reason() -> None:
    verdicts = {
        "1": Verdict(id="1", label="Yes"),
        "2": Verdict(id="2", error="the prompt has [9] tokens too many"),
        "3": Verdict(id="3", error="another reason"),
    }
    console = Console(record=True, width=300)
    tell_failed(console, {"felm": verdicts, "lfqa": {"1": verdicts["1"]}})
    (line,) = console.export_text().splitlines()
    assert line.startswith("felm: 2 rows have no verdict and count as wrong; row 2: the prompt")
    assert "[9] tokens" in line


def test_dry_run_says_what_it_would_take(here, tmp_path, bench_data, small_model) -> None:
    done = here(
        *("bench", "--suite", "eval_bias_bench", "--dry-run", "-m", "verdict"),
        *("--data", bench_data, "-o", tmp_path / "r"),
    )
    assert done.returncode == 0, done.stderr
    assert "160" in done.stdout  # 80 pairs in both orders
    assert not (tmp_path / "r").exists()
    done = here(
        *("bench", "--suite", "bias:eval_bias_bench", "--limit", 4, "--dry-run", "-m", "verdict"),
        *("--data", bench_data, "-o", tmp_path / "r", "--json"),
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["judges"]["nano"]["eval_bias_bench"]
    assert (found["rows"], found["prompts"]) == (4, 48)  # 6 ways, both orders
    assert found["tokens"] > 48 * 50
    assert not (tmp_path / "r").exists()


def test_bias_probe(here, tmp_path, bench_data, small_model) -> None:
    done = here(
        *("bench", "--suite", "bias:eval_bias_bench", "--limit", 2, "-m", "verdict"),
        *("--data", bench_data, "-o", tmp_path / "r", "--json"),
    )
    assert done.returncode == 0, done.stderr
    kinds = json.loads(done.stdout)["nano"]["runs"]["verdict"]["eval_bias_bench"]["changes"]
    # No position: nano judges each response alone, so no order can sway it.
    assert [k["kind"] for k in kinds][:2] == ["length", "authority"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--suite", "selen11"], 'did you mean "selene11"'),
        (["--judge", "nanoo"], 'did you mean "nano"'),
        (["--data", "/nowhere"], "no benchmark files here"),
        (["--judge", "nano,nano"], 'nano: has the same name as nano, "nano"'),
        (["--suite", "bias:"], "name the sets after the colon"),
        (["--mode", "fast"], "it is critique or verdict"),
        pytest.param(
            ["--output", "/proc/nowhere"],
            "/proc/nowhere: cannot write here",
            marks=pytest.mark.posix,
        ),
        (["--suite", "bias:nothing"], 'no suite or benchmark "nothing"'),
    ],
)
def test_wrong_usage_is_one_clear_line(
    here, bench_data, tmp_path, monkeypatch, arguments, message
) -> None:
    monkeypatch.chdir(tmp_path)
    given = [] if "--data" in arguments else ["--data", bench_data]
    done = here("bench", *arguments, *given)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_probe_asks_nothing_of_two_times_one_text(tmp_path, toy, monkeypatch, capsys) -> None:
    """The seat that a judge likes there is no label that flips."""
    sample = Sample(id="a", instruction="Hi", response_a="x", response_b="x")
    pair = Item(sample, load_criterion("preference"), "A", "a", "A", "p")
    other = replace(pair, sample=sample.model_copy(update={"id": "b", "response_b": "y"}))
    monkeypatch.setattr("mene.cli.probe.read_set", lambda folder, one: [pair, other])
    monkeypatch.setattr("mene.cli.probe.data_folder", lambda given: tmp_path)
    opened = lambda *_: Judge("nano-base", mode="verdict", engine=toy)  # noqa: E731
    monkeypatch.setattr("mene.cli.probe.open_measured", opened)
    asked = BenchOptions(suite="bias:hhh_alignment", results=tmp_path / "r", json_=True, quiet=True)
    probe(asked, ["nano-base"], {})
    found = json.loads(capsys.readouterr().out)["nano-base"]["runs"]["verdict"]["hhh_alignment"]
    assert (found["rows"], [one["failed"] for one in found["changes"]]) == (1, [0] * 6)


@pytest.mark.parametrize("output", ["mine.yaml", "nano-faithfulness.yaml"])
def test_align_replaces_no_file_that_it_did_not_write(here, tmp_path, monkeypatch, output) -> None:
    monkeypatch.chdir(tmp_path)
    Path(output).write_text("name: tone\n")
    given = ["-o", output] if output == "mine.yaml" else []
    done = here("align", RAG, "-c", "faithfulness", "-j", "nano", *given)
    assert done.returncode == 2
    assert f"{output} exists and is not a judge that `mene align` wrote" in done.stderr
    assert Path(output).read_text() == "name: tone\n"
    assert [path.name for path in tmp_path.iterdir()] == [output]  # nothing was judged


def test_align_learns_from_labels_and_judge_uses_it(
    here, tmp_path, small_model, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = tmp_path / "rows.jsonl"
    rows.write_text(RAG.read_text())
    done = here("align", rows, "-c", "faithfulness", "-m", "verdict", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)["nano"]
    assert said["rows"] == 24
    assert set(said["held_out"]) == {"temperature", "bias", "isotonic"}
    assert said["labels_to_halve_the_interval"] == 72
    best = min(h["log_loss"] for h in said["held_out"].values())
    assert said["preset"] is None or best < said["as_it_is"]["log_loss"]
    if said["preset"]:
        used = here(
            *("judge", rows, "-c", "faithfulness", "-m", "verdict", "--limit", 2),
            *("--judge", said["preset"], "-o", "-"),
        )
        assert used.returncode == 0, used.stderr
        assert len(used.stdout.splitlines()) == 2
    few = tmp_path / "few.jsonl"
    few.write_text("".join(RAG.read_text().splitlines(keepends=True)[:5]))
    refused = here("align", few, "-c", "faithfulness", "-m", "verdict")
    assert refused.returncode == 2
    assert "at least 20 are needed" in refused.stderr
    # A label off the scale: that row is named and left out, the others go on.
    lines = RAG.read_text().splitlines()
    lines[3] = json.dumps({**json.loads(lines[3]), "label": "perhaps"})
    rows.write_text("\n".join(lines))
    done = here("align", rows, "-c", "faithfulness", "-m", "verdict", "--json")
    assert done.returncode == 1
    assert f'"perhaps" ({rows}, line 4) is not on the scale Yes/No of' in done.stderr
    assert json.loads(done.stdout)["nano"]["rows"] == 23
    rows.write_text("\n".join(json.dumps({**json.loads(s), "label": "Yes"}) for s in lines))
    same = here("align", rows, "-c", "faithfulness", "-m", "verdict")
    assert same.returncode == 2
    assert 'all 24 labels are "Yes"' in same.stderr


def test_align_that_is_stopped_says_where_its_verdicts_are(
    here, toy, tmp_path, monkeypatch
) -> None:
    rag = tmp_path / "rag.jsonl"
    rag.write_text(RAG.read_text())
    toy_run = toy.run

    def run(requests, stop=None):
        yield next(toy_run(requests))
        raise KeyboardInterrupt

    toy.run = run
    monkeypatch.setattr(align_screen, "open_one", lambda spec, _: Judge(spec, engine=toy))
    monkeypatch.chdir(tmp_path)
    done = here("align", "rag.jsonl", "-c", "faithfulness", "-j", "nano")
    assert done.returncode == 130
    assert "mene: stopped. The verdicts so far are in rag.nano.aligned.jsonl; run" in done.stderr
    assert len((tmp_path / "rag.nano.aligned.jsonl").read_text().splitlines()) == 1


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["pull", "nano"], "mene: stopped; run the same command again to continue\n"),
        (["judge", RAG, "-c", "tone", "-j", "nano", "-o", "-"], "mene: stopped; run the same command again to continue\n"),
        (["judges"], "mene: stopped\n"),
    ],
)  # fmt: skip
def test_ctrl_c_is_answered_while_a_model_is_downloaded(here, monkeypatch, command, said) -> None:
    def stopped(*_):
        raise KeyboardInterrupt

    for place in ("mene.judge.open.fetch_weights", "mene.cli.judges.is_here"):
        monkeypatch.setattr(place, stopped)
    monkeypatch.setattr(
        "mene.judge.judge.open_engine", open_engine
    )  # none that another test has loaded
    done = here(*command)
    assert (done.returncode, done.stderr) == (130, said)
