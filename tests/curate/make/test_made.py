"""Points that are made, on their way through ``mene curate``: decontaminated, counted, written, the same each time."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from mene.cli.curated import list_sources
from mene.curate.make import arithmetic
from mene.curate.make.registry import MAKERS
from mene.curate.run import curate
from mene.errors import UsageError
from mene.recipe import Recipe, load_recipe

RECIPE = """
seed: 3
data:
  sources: {}
  development: 0.2
  make: {arithmetic: 240}
  critiques: 0.5
  unique: near
"""


def recipe(tmp_path: Path, text: str = RECIPE) -> Recipe:
    path = tmp_path / "made.yaml"
    path.write_text(text)
    return load_recipe(str(path))


def made(tmp_path: Path, bench: list[dict[str, str]], name: str = "out") -> list[dict[str, Any]]:
    folder = tmp_path / "bench"
    folder.mkdir(exist_ok=True)
    with gzip.open(folder / "some.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in bench)
    out = tmp_path / name
    curate(recipe(tmp_path), tmp_path, folder, out)
    files = [(out / f"{side}.jsonl").read_text("utf-8") for side in ("train", "dev")]
    return [json.loads(line) for text in files for line in text.splitlines()]


HARMLESS = [{"instruction": "Say something about the weather of the last seven days."}]


def test_a_recipe_of_made_points_alone(tmp_path) -> None:
    pairs = made(tmp_path, HARMLESS)
    report = json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))
    counts = report["sources"]["arithmetic"]
    assert counts["read"] == 240 == sum(counts["kept"].values())
    assert counts["pairs"] == len(pairs)
    assert 0.35 < report["stages"]["critiques"]["made"]["arithmetic"] / 240 < 0.65
    reasons = [p for p in pairs if p["mode"] == "critique"]
    assert all(
        p["label"] != p["wrong"] and p["critique"] != p["rejected_critique"] for p in reasons
    )
    groups = [
        {
            json.loads(line)["group"]
            for line in (tmp_path / "out" / f"{side}.jsonl").read_text().splitlines()
        }
        for side in ("train", "dev")
    ]
    assert groups[1] and not groups[0] & groups[1]
    first = (tmp_path / "out" / "train.jsonl").read_bytes()
    made(tmp_path, HARMLESS, "again")
    assert (tmp_path / "again" / "train.jsonl").read_bytes() == first


def test_made_points_that_are_in_a_benchmark_are_left_out(tmp_path) -> None:
    planted = next(iter(arithmetic.points(3, 1))).sample.instruction or ""
    pairs = made(tmp_path, [{"instruction": planted}])
    report = json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))
    assert report["sources"]["arithmetic"]["in_bench"] >= 3
    assert report["leaks"][0]["source"] == "arithmetic"
    assert not any(planted in pair["messages"][-1]["content"] for pair in pairs)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("{sources: {}}", "nothing to make pairs from; name sets"),
        (
            "{sources: {}, make: {arithmetics: 3}}",
            'unknown kind "arithmetics"; did you mean "arithmetic"',
        ),
        ("{sources: {}, make: {code: 0}}", "data.make.code: Input should be greater"),
    ],
)
def test_a_wrong_recipe_is_one_clear_line(tmp_path, data: str, message: str) -> None:
    with pytest.raises(UsageError) as error:
        recipe(tmp_path, f"data: {data}")
    assert message in str(error.value)


def test_the_list_says_what_can_be_made(capsys) -> None:
    list_sources(None, as_json=False)
    shown = capsys.readouterr().out
    assert all(name in shown and maker.why in shown for name, maker in MAKERS.items())
