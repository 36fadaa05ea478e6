"""`mene judge --on ray` and `--plan`: what is refused, before Ray or a model is touched."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mene.cli.judge_on_ray import _asked
from mene.cli.judge_options import JudgeOptions
from mene.cli.judges_on_ray import choice_of, opened_in_worker, with_full_paths
from mene.cli.tables_on_ray import default_folder
from mene.engines.openvino import dtype as formats
from mene.errors import EngineError
from mene.judge.preset import Preset, load_preset
from mene.runs.parts import beginning
from mene.runs.parts.manifest import Manifest, save
from mene.runs.parts.own import is_own
from mene.runs.parts.storage import write_bytes
from mene.verdict import Verdict
from mene.weights.source import Weights

ROW = '{"context": "It opens at nine.", "response": "At nine."}\n'


@pytest.fixture
def rows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "ray", None)  # whatever is said is said without it
    (tmp_path / "rows.jsonl").write_text(ROW)
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "notes.txt").write_text("no table")
    (tmp_path / "file.out").write_text("")
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "other.csv").write_text("question,answer_text\n1,2\n")


REFUSED = {
    "a pattern without files": (["none-*.jsonl"], "no file has such a name; check the pattern"),
    "a folder without tables": (["more"], "more: no table in it; tables end in .jsonl"),
    "no such file": (["rows.json"], "rows.json: no such file"),
    "an empty file": (["empty.jsonl"], "is empty: nothing to judge"),
    "twice": (["rows.jsonl", "rows.*"], "is named twice"),
    "twice by two names": (["rows.jsonl", "./more/../rows.jsonl"], "is named twice"),
    "another form": (["more/notes.txt"], "cannot tell the format"),
    "standard input": (["-"], "reads files, not standard input"),
    "no column": (["other.csv"], "no column for"),
    "no column in the second": (["rows.jsonl", "other.csv"], "other.csv: no column for"),
    "a file to write": (["rows.jsonl", "-o", "file.out"], "is a file; --on ray writes a folder"),
    "the tables' folder": (["rows.jsonl", "-o", "."], "lies in the folder of the verdicts"),
    "standard output": (["rows.jsonl", "-o", "-"], "writes a folder of parts"),
    "a limit of reasons": (["rows.jsonl", "--explain-rows", "5"], "needs the order of all rows"),
    "a form of parts": (["rows.jsonl", "--parts", "csv"], "it is parquet or jsonl"),
    "claims of a pair": (["rows.jsonl", "-c", "preference", "--claims"], "preference does not judge one response"),
    "a second criterion without its column": (["rows.jsonl", "-c", "preference"], "response_a=COLUMN"),
    "no Ray": (["rows.jsonl"], 'ray is not installed; run: pip install "mene[ray]"'),
    "no Ray for two": (["rows.jsonl", "-c", "Is it short?"], 'ray is not installed; run: pip install "mene[ray]"'),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_is_one_line(here, rows, what) -> None:
    words, said = REFUSED[what]
    done = here("judge", words[0], "-c", "faithfulness", *words[1:], "--on", "ray", "-j", "nano")
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("table", "folder"),
    [
        ("rows.jsonl", "rows.verdicts"),
        ("q[1].jsonl", "q[1].verdicts"),
        ("q[2].jsonl", "q[2].verdicts"),
        ("more/", "more.verdicts"),
        ("more/a-*.jsonl", "more/a.verdicts"),
        ("*.jsonl", "rows.verdicts"),
        (".", "here.verdicts"),
        ("./", "here.verdicts"),
        ("more/..", "here.verdicts"),
    ],
)
def test_verdicts_lie_beside_their_table(tmp_path, monkeypatch, table, folder) -> None:
    (tmp_path / "here" / "more").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    for n in (1, 2):
        (tmp_path / "here" / f"q[{n}].jsonl").write_text(ROW)
    assert default_folder(table) == folder


PART = "part-00000-0000000000-0123456789abcdef0123.jsonl"


def write_own(folder: Path, *more: str) -> list[str]:
    """Write what mene leaves behind in a folder of tables; return the paths."""
    said = Verdict(id="1", row=1, criterion="c", judge="j", key="k", error="e").to_json() + "\n"
    names = [
        "a.verdicts.jsonl",
        "renamed.jsonl",
        f"a.verdicts/{PART}",
        f"a.verdicts/earlier/{PART}",
        *more,
    ]
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(said)
    whole = Manifest(mene="1", judge="j", criteria={"c": ""}, run="r")
    save(str(folder / "a.verdicts"), whole)
    return [*names, "a.verdicts/manifest.json"]


@pytest.mark.parametrize("small", [0, 1 << 20])
@pytest.mark.parametrize("name", ["t.csv", "t.parquet", "t.jsonl"])
def test_the_first_table_of_a_store_is_looked_at(
    here, rows, tmp_path, monkeypatch, name, small
) -> None:
    pytest.importorskip("fsspec")
    polars = pytest.importorskip("polars")
    monkeypatch.setattr(beginning, "SMALL", small)
    frame = polars.DataFrame({"context": ["It opens at nine."] * 30, "response": ["At nine."] * 30})
    writing = {"csv": "write_csv", "parquet": "write_parquet", "jsonl": "write_ndjson"}
    for n, one in enumerate((frame, frame.rename({"response": "said"}))):
        local = tmp_path / name
        getattr(one, writing[name.partition(".")[2]])(local)
        write_bytes(f"memory://{tmp_path.name}/{n}/{name}", local.read_bytes())
    out = ("-o", tmp_path / "out")
    words = ("-c", "faithfulness", "--on", "ray", "-j", "nano", *out)
    done = here("judge", f"memory://{tmp_path.name}/0/{name}", *words)
    assert "ray is not installed" in done.stderr
    done = here("judge", f"memory://{tmp_path.name}/1/{name}", *words)
    unknown = name == "t.jsonl" and not small  # any later row may have it
    said = "ray is not" if unknown else f"memory://{tmp_path.name}/1/{name}: no column for"
    assert said in done.stderr


def test_what_mene_wrote_is_no_table(here, rows, tmp_path) -> None:
    own = write_own(tmp_path / "more")
    assert all(is_own(str(tmp_path / "more" / name)) for name in own)
    done = here("judge", "more", "-c", "faithfulness", "--on", "ray", "-j", "nano")
    assert "more: only verdicts that mene wrote, like more" in done.stderr
    for name in ("x.jsonl", "manifest.json", "part-1.jsonl"):
        (tmp_path / "more" / name).write_text(f"[{ROW}]" if name == "manifest.json" else ROW)
        assert not is_own(str(tmp_path / "more" / name))
    assert is_own("s3://b/rows/a.verdicts.jsonl")
    assert is_own(f"s3://b/rows/out/{PART}")
    assert not is_own("s3://b/rows/a.jsonl")
    done = here("judge", "more", "-c", "faithfulness", "--on", "ray", "-j", "nano")
    assert "a.verdicts.jsonl and 4 more: verdicts that mene wrote, left out" in done.stderr
    assert "ray is not installed" in done.stderr


def test_the_folder_of_verdicts_may_lie_among_the_tables(here, rows, tmp_path) -> None:
    (tmp_path / "more" / "x.jsonl").write_text(ROW)
    folder = str(tmp_path / "more" / "out")
    options = JudgeOptions(
        file="more", criterion=["faithfulness"], on="ray", judge="nano", output=folder
    )
    assert [Path(path).name for path in _asked(options).files] == ["x.jsonl"]
    (tmp_path / "more" / "out" / "earlier").mkdir(parents=True)
    (tmp_path / "more" / "out" / PART).write_text("{}")
    (tmp_path / "more" / "out" / "earlier" / PART).write_text("{}")
    save(folder, Manifest(mene="1", judge="j", criteria={"c": ""}, run="r"))
    done = here("judge", "more", "-c", "faithfulness", "--on", "ray", "-j", "nano", "-o", folder)
    assert len(done.stderr.splitlines()) == 1
    assert "ray is not installed" in done.stderr
    (tmp_path / "more" / "out" / "mine.jsonl").write_text(ROW)
    done = here("judge", "more", "-c", "faithfulness", "--on", "ray", "-j", "nano", "-o", folder)
    assert "mine.jsonl lies in the folder of the verdicts" in done.stderr


def test_several_files_need_ray_and_there_is_no_other_place(here, rows) -> None:
    done = here("judge", "rows.jsonl", "other.csv", "-c", "faithfulness", "-j", "nano")
    assert (done.returncode, "--on ray" in done.stderr) == (2, True)
    done = here("judge", "rows.jsonl", "-c", "faithfulness", "--on", "spark", "-j", "nano")
    assert (done.returncode, "--on spark: it is ray" in done.stderr) == (2, True)


def test_an_option_that_would_do_nothing_is_refused(here, rows) -> None:
    for option, value in (
        ("--workers", "2"),
        ("--parts", "jsonl"),
        ("--part-rows", "500"),
        ("--rows", "9"),
        ("--agreement", "0.5"),
    ):
        done = here("judge", "rows.jsonl", "-c", "faithfulness", option, value, "-j", "nano")
        assert (done.returncode, f"{option} has no effect here" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["rows.jsonl", "--gpu", "h10"], 'no figures for "h10"; did you mean "h100"?'),
        (["-"], "--plan measures one judge on a file"),
        (["none.jsonl"], "no such file"),
        (["rows.jsonl", "--explain", "all"], "--plan measures verdicts, not the critiques"),
        (["rows.jsonl", "--prices", "none.yaml"], "none.yaml: cannot read"),
        (
            ["rows.jsonl", "--part-rows", "9"],
            "--part-rows has no effect here; use it with --on ray",
        ),
    ],
)
def test_a_plan_that_cannot_be_made_is_one_line(here, rows, words, said) -> None:
    done = here("judge", words[0], "-c", "faithfulness", *words[1:], "--plan", "-j", "nano")
    assert done.returncode == 2
    assert said in done.stderr


@pytest.mark.parametrize(
    ("identity", "choice"),
    [
        ("openvino:int8:model.gguf@1", {"engine": "openvino", "dtype": "int8"}),
        ("openvino:bfloat16:model.gguf@1", {"engine": "openvino", "dtype": "bfloat16"}),
        ("openvino:model.gguf@1", {"engine": "openvino", "dtype": "float32"}),
        ("llamacpp:model.gguf@1", {"engine": "llamacpp"}),
    ],
)
def test_workers_compute_as_the_driver_would(identity: str, choice: dict[str, str]) -> None:
    engine: Any = SimpleNamespace(identity=identity)
    assert choice_of(load_preset("base"), engine) == choice
    served = Preset(engine="openai", weights=Weights(served="x"))
    assert choice_of(served, engine) == {}


def test_a_worker_that_cannot_compute_as_the_driver_does_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its verdicts would be others, and nobody would see it."""
    monkeypatch.delenv("MENE_DTYPE", raising=False)
    monkeypatch.setattr(formats, "processor_says", lambda flag: False)
    choices = [{"engine": "openvino", "dtype": "bfloat16"}]
    with pytest.raises(
        EngineError, match=r"computes in float32, and this run in bfloat16.*MENE_DTYPE=int8"
    ):
        opened_in_worker(["nano"], choices, {})
    choices = [{"engine": "openvino", "dtype": "float32"}]
    opened_in_worker(["nano"], choices, {})


def test_a_worker_elsewhere_finds_the_files_of_a_judge(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.gguf").touch()
    (tmp_path / "model").mkdir()
    for spec in ("openvino:m.gguf", "llamacpp:m.gguf", "hf:model", "vllm:model"):
        preset = with_full_paths(load_preset(spec))
        assert preset.weights.path == str(tmp_path / spec.partition(":")[2])
        assert preset.name == spec
    with_files = load_preset("llamacpp:m.gguf").model_copy(
        update={"adapter": "model", "template": "m.gguf"}
    )
    preset = with_full_paths(with_files)
    assert (preset.adapter, preset.template) == (str(tmp_path / "model"), str(tmp_path / "m.gguf"))
    hub = load_preset("hf:org/name")
    assert with_full_paths(hub) == hub
    assert with_full_paths(load_preset("nano")) == load_preset("nano")
