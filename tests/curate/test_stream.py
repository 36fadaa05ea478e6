"""Both engines give the same rows and the same bytes; what goes wrong is said alike."""

from __future__ import annotations

import gzip
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mene.curate import stream
from mene.curate.clean.check import Check, Row
from mene.curate.raw.sources import find_source
from mene.curate.run import curate
from mene.curate.stream import opened, require
from mene.errors import ModelError, UsageError
from mene.events import Advance, Begin, Event
from mene.recipe import load_recipe

RECIPE = """
seed: 3
data:
  development: 0.2
  unique: near
  sources: {climate_fever: 60, auto_j_single_train: 40, q2_wow_consistency: 30}
  derive: {pairs: 30, yes_no: 20}
"""
FILES = ("train.jsonl", "dev.jsonl", "report.json")
ROW = (
    '{"id": "%d", "instruction": "Is it so?", "response": "It is.", "context": "%s", "label": "%s"}'
)


@pytest.fixture(scope="module", autouse=True)
def address() -> Iterator[str]:
    """Of one Ray for all tests of this file: a start takes seconds."""
    require("ray")
    import ray

    from mene.curate import on_ray

    with on_ray.cluster():
        yield ray.get_runtime_context().gcs_address


def set_of(folder: Path, name: str, lines: list[str]) -> None:
    folder.mkdir(exist_ok=True)
    with gzip.open(folder / f"{name}.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(line + "\n" for line in lines)


def rows_of(engine: str, raw: Path, *names: str) -> dict[str, list[Row]]:
    sources = [find_source(name) for name in names]
    with opened(engine) as place:
        index = place.index([("bench", "context", "one two three four five six seven eight")])
        rows = place.stream(raw, sources, Check(index, 300, 0))
        return {source.name: list(rows.rows(source)) for source in sources}


@pytest.fixture
def data(tmp_path, few_raw, bench_data) -> Path:
    """The raw sets, and of the benchmarks the one that overlaps with one of them."""
    (tmp_path / "train").symlink_to(few_raw)
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "auto_j.jsonl.gz").symlink_to(bench_data / "auto_j.jsonl.gz")
    (tmp_path / "mine.yaml").write_text(RECIPE)
    return tmp_path


def test_both_engines_write_the_same_bytes(data) -> None:
    recipe = load_recipe(str(data / "mine.yaml"))
    seen: dict[str, list[str]] = {}
    for engine in stream.ENGINES:
        told: list[Event] = []
        made = curate(
            recipe,
            data / "train",
            data / "bench",
            data / engine,
            engine=engine,
            events=told.append,
        )
        points = sum(event.by for event in told if isinstance(event, Advance))
        assert points == sum(found.read for found in made.counts.values()) > 1200
        assert made.counts["auto_j_single_train"].in_bench > 40
        assert made.counts["auto_j_single_train"].broken == 1
        seen[engine] = [event.work for event in told if isinstance(event, Begin)]
    assert seen["ray"] == seen["local"] == ["benchmarks", *recipe.data.sources]
    for name in FILES:
        assert (data / "ray" / name).read_bytes() == (data / "local" / name).read_bytes()


def test_the_command_says_the_same_with_both_engines(data, address, monkeypatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", address)  # a Ray that is running
    said = {}
    for engine in stream.ENGINES:
        command = [sys.executable, "-m", "mene", "curate", "mine.yaml", "--data", str(data)]
        command += ["data.sources={auto_j_single_train: 40}", "-o", "out", "--engine", engine]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=data)
        assert done.returncode == 1, done.stderr  # a row of the set has no response
        assert "auto_j_single_train.jsonl.gz, line 297: field " in done.stderr
        table, _ = done.stdout.split("\n\n", 1)
        said[engine] = table, done.stderr, [(data / "out" / f).read_bytes() for f in FILES]
    assert said["ray"] == said["local"]


def test_rows_come_in_the_order_of_their_files(tmp_path, monkeypatch) -> None:
    from mene.curate import on_ray

    monkeypatch.setattr(on_ray, "BLOCK", 2000)  # some ten rows
    names = ("covidfact_train", "q2_wow_consistency", "bump")
    for name in names:
        words = "word " * 100
        lines = [ROW % (n, words if n % 7 == 0 else "is it", "Yes") for n in range(300)]
        set_of(tmp_path, name, lines)
    set_of(tmp_path, "bump", [])
    found = rows_of("ray", tmp_path, *names)
    assert found == rows_of("local", tmp_path, *names)
    rows = found["covidfact_train"]
    assert [row.number for row in rows] == list(range(1, 301))
    assert [row.too_long for row in rows[:8]] == [1, 0, 0, 0, 0, 0, 0, 1]
    assert found["bump"] == []


def test_an_index_outlives_the_ray_that_made_it() -> None:
    with opened("ray") as place:
        index = place.index([("bench", "context", "one two three four five six seven eight")])
    kept = [shingles for _, shingles in index._signs.values()]
    assert [shingles.flags.writeable for shingles in kept] == [True]  # what Ray lends is not


def test_a_broken_row_is_the_same_in_both(tmp_path) -> None:
    leak = "one two three four five six seven eight"
    lines = [
        ROW % (1, "so it is", "yes"),
        "{torn",
        "[1]",
        '{"id": "4", "label": "Yes"}',
        ROW % (5, leak, "Yes"),
        ROW % (6, "word " * 100, "Yes"),
        ROW % (7, "so it is", "perhaps"),
    ]
    set_of(tmp_path, "q2_wow_consistency", lines)
    found = rows_of("ray", tmp_path, "q2_wow_consistency")
    assert found == rows_of("local", tmp_path, "q2_wow_consistency")
    rows = found["q2_wow_consistency"]
    assert [(row.number, row.broken) for row in rows if row.broken] == [
        (2, "not JSON (Expecting property name enclosed in double quotes)"),
        (3, "not an object"),
        (4, 'field "context" is missing or empty'),
        (7, 'label "perhaps" is not one of this set'),
    ]
    assert [len(row.points) for row in rows] == [1, 0, 0, 0, 0, 0, 0]
    assert [leak.id for leak in rows[4].leaks] == ["q2_wow_consistency/5"]
    assert rows[5].too_long == 1


@pytest.mark.parametrize("harm", ["cut", "not gzip", "not UTF-8", "bits", "no good row", "empty"])
def test_a_damaged_file_is_said_alike(tmp_path, harm) -> None:
    raw, bench = tmp_path / "train", tmp_path / "bench"
    set_of(raw, "q2_wow_consistency", [ROW % (n, f"so it is {n}", "yes") for n in range(500)])
    set_of(bench, "one", ['{"context": "one two three four five six seven"}'])
    path = raw / "q2_wow_consistency.jsonl.gz"
    whole = path.read_bytes()
    path.write_bytes(
        {
            "cut": whole[: len(whole) // 2],
            "not gzip": b"text",
            "not UTF-8": gzip.compress(b"\xff\xff\n"),
            "bits": whole[:200] + bytes(200) + whole[400:],
            "no good row": gzip.compress(b"{}\n"),
            "empty": gzip.compress(b""),
        }[harm]
    )
    (tmp_path / "mine.yaml").write_text("data: {sources: {q2_wow_consistency: 10}}")
    recipe = load_recipe(str(tmp_path / "mine.yaml"))
    said = []
    for engine in stream.ENGINES:
        with pytest.raises(UsageError) as error:
            curate(recipe, raw, bench, tmp_path / "out", engine=engine)
        said.append(str(error.value))
    assert said[0] == said[1]
    assert str(path) in said[0]
    assert ("no usable row" if harm in ("no good row", "empty") else "damaged (") in said[0]


def test_no_cluster_at_the_address_is_one_clear_line(data) -> None:
    command = [
        sys.executable,
        "-m",
        "mene",
        "curate",
        "mine.yaml",
        "--data",
        str(data),
        "-q",
    ]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # and does not listen
        environment = {**os.environ, "RAY_ADDRESS": f"127.0.0.1:{free.getsockname()[1]}"}
        command += ["data.sources={climate_fever: 9}", "--engine", "ray"]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=300, cwd=data, env=environment
        )
    assert done.returncode == 2
    assert done.stderr.startswith("mene: no Ray at RAY_ADDRESS=127.0.0.1:")
    assert len(done.stderr.splitlines()) == 1


def test_no_such_engine_and_none_installed_say_what_to_do(monkeypatch) -> None:
    with pytest.raises(UsageError, match='no engine "rya"; did you mean "ray"'):
        require("rya")
    monkeypatch.delitem(sys.modules, "mene.curate.on_ray", raising=False)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ModelError, match=r'ray is not installed; run: pip install "mene\[ray\]"'):
        require("ray")
