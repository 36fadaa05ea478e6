"""Made points go the way of all points: checked, counted, reported, asked for by a recipe."""

from __future__ import annotations

import gzip
import json
import re
from itertools import islice
from pathlib import Path

import pytest

from mene.cli.curated import list_sources
from mene.curate.make import facts
from mene.curate.make.registry import MAKERS
from mene.curate.pair import read_pairs
from mene.curate.raw.files import read_lines
from mene.curate.raw.sources import find_source
from mene.curate.run import curate
from mene.errors import UsageError
from mene.events import Begin, Event
from mene.recipe import load_recipe
from mene.train.ablate.variants import stages_of

RECIPE = """
data:
  sources: {q2_wow_consistency: 2}
  development: 0.2
  critiques: 1
  make: {facts: 90}
"""


def written(path: Path, rows: list[dict[str, str]]) -> None:
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


@pytest.fixture
def data(tmp_path) -> Path:
    for name in ("train", "bench"):
        (tmp_path / name).mkdir()
    row = {"instruction": "And?", "context": "The sea is blue.", "response": "It is blue."}
    rows = [{**row, "id": str(n), "label": "yes" if n % 2 else "no"} for n in range(4)]
    written(tmp_path / "train" / "q2_wow_consistency.jsonl.gz", rows)
    # The document of the first points is in a benchmark.
    planted = next(p for p in facts.points(0, 90) if p.sample.context)
    bench = [{"context": planted.sample.context or "", "response": "Something else is said here."}]
    written(tmp_path / "bench" / "some_bench.jsonl.gz", bench)
    (tmp_path / "mine.yaml").write_text(RECIPE)
    return tmp_path


def test_made_points_are_decontaminated_counted_and_written(data) -> None:
    recipe = load_recipe(str(data / "mine.yaml"))
    told: list[Event] = []
    made = curate(recipe, data / "train", data / "bench", data / "out", events=told.append)
    counts = made.counts["facts"]
    assert counts.read == 90
    assert counts.in_bench == 3  # the two responses to the planted document and their pair
    assert sum(counts.kept.values()) == 87
    assert [event.work for event in told if isinstance(event, Begin)][-1] == "facts"
    report = json.loads((data / "out" / "report.json").read_text())
    assert report["sources"]["facts"]["in_bench"] == 3
    assert report["leaks_by_kind"] == {"facts: exact": 3}
    pairs = [p for p in read_pairs(data / "out" / "train.jsonl") if p.source == "facts"]
    assert stages_of(pairs[0]) >= {"make", "make.facts"}
    argued = [pair for pair in pairs if pair.mode == "critique"]
    assert len(argued) > 20
    assert made.stages["critiques"].made["facts"] >= len(argued)
    first = (data / "out" / "train.jsonl").read_bytes()
    curate(recipe, data / "train", data / "bench", data / "again")
    assert (data / "again" / "train.jsonl").read_bytes() == first


def test_an_unknown_generator_and_a_missing_set_are_said_before_any_work(data) -> None:
    with pytest.raises(UsageError, match='data.make: unknown kind "fact"; did you mean "facts"'):
        load_recipe(str(data / "mine.yaml"), ["data.make={fact: 3}"])
    recipe = load_recipe(str(data / "mine.yaml"), ["data.make={safety: 3}"])
    with pytest.raises(UsageError, match=r"safety takes texts from it.*drop safety"):
        curate(recipe, data / "train", data / "bench", data / "out")
    assert not (data / "out").exists()


def test_generators_are_listed_and_read_known_sets(capsys) -> None:
    list_sources(None, as_json=False)
    shown = capsys.readouterr().out
    for name, maker in MAKERS.items():
        assert name in shown
        assert all(find_source(one) for one in maker.reads)


def test_a_broken_row_of_a_set_that_is_read_is_counted(data, small_raw) -> None:
    for path in small_raw.iterdir():
        (data / "train" / path.name).write_bytes(path.read_bytes())
    path = data / "train" / "evouna_qa_correctness.jsonl.gz"
    with gzip.open(path, "at", encoding="utf-8") as file:
        file.write("{broken\n")
    recipe = load_recipe(str(data / "mine.yaml"), ["data.make={answered: 9}"])
    made = curate(recipe, data / "train", data / "bench", data / "out")
    assert made.counts["answered"].broken == 1
    assert (
        "evouna_qa_correctness.jsonl.gz, line 1501: not JSON"
        in (made.counts["answered"].broken_rows[0])
    )


@pytest.mark.parametrize("maker", ["answered", "asked", "quoted", "safety"])
def test_too_few_rows_name_the_generator_and_how_many_it_needs(maker, tmp_path, small_raw) -> None:
    rows, needed = (1, 1) if maker == "safety" else (12, 40)
    for name in MAKERS[maker].reads:
        with gzip.open(tmp_path / f"{name}.jsonl.gz", "wt", encoding="utf-8") as file:
            file.writelines(islice(read_lines(small_raw / f"{name}.jsonl.gz"), rows))
    with pytest.raises(UsageError) as raised:
        list(MAKERS[maker].points(0, 10, tmp_path, lambda text: None))
    said = str(raised.value)
    assert re.search(rf"\d+ usable rows? for {maker}, which needs {needed} or more; ", said), said
    assert said.endswith(f"drop {maker} from data.make")
