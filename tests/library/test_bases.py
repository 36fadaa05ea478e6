"""A base is named once, and what is written out of a judge or a recipe is whole without it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from mene.bench.align.save import save
from mene.errors import UsageError
from mene.judge.calibration import Calibration
from mene.judge.preset import load_preset, parse_preset
from mene.library.load import BASES, JUDGES, LIBRARY, RECIPES, names
from mene.recipe import Recipe, load_recipe
from mene.train.begin import begin
from mene.weights import source
from mene.weights.source import Weights


@pytest.fixture
def no_bases(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(name: str) -> None:
        raise AssertionError(f"{name} is looked up")

    monkeypatch.setattr(source, "_base", gone)


def test_every_base_is_weights_with_a_sum_and_a_place() -> None:
    for name in names(BASES):
        weights = Weights.model_validate(name)
        assert weights.places()
        assert weights.sha256
        assert weights == Weights.model_validate({"base": name})
        assert "base" not in weights.model_dump()
        converted = Weights.model_validate({"base": name, "convert": "Q8_0"})
        assert converted == weights.model_copy(update={"convert": "Q8_0"})


def test_no_sum_is_written_in_two_files() -> None:
    files = [p for kind in (BASES, JUDGES, RECIPES) for p in (LIBRARY / kind.folder).glob("*.yaml")]
    sums = [s for p in files for s in re.findall(r"\b[0-9a-f]{64}\b", p.read_text("utf-8"))]
    assert len(sums) == len(set(sums)) == len(names(BASES))


def test_judges_and_recipes_share_them() -> None:
    assert load_preset("base").weights == load_recipe("base").base
    assert load_preset("small").weights == load_recipe("small").base
    nano = load_recipe("nano").base
    assert nano is not None
    assert load_preset("nano").weights == nano.model_copy(update={"convert": "Q8_0"})
    assert load_recipe("nano", ["base=qwen2.5-coder-1.5b"]).base == load_preset("base").weights


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ("qwen2.5-coder-1.5", 'weights: no base "qwen2.5-coder-1.5"; did you mean "qwen2.5-coder-1.5b"?'),
        ("my.gguf", "another model is written like {path: FILE} or {hub: ORG/NAME}"),
        ("../judges/nano", 'weights: no base "../judges/nano"; there are'),
        ("{base: smollm2-135m, path: x}", "base allows only convert beside it, not path; leave it out"),
        ("{base: [x]}", "weights: no base"),
        ("{base: smollm2-135m, convert: Q9}", "weights.convert: Input should be"),
    ],
)  # fmt: skip
def test_what_is_no_base(weights: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_preset(f"engine: llamacpp\nweights: {weights}\n", "mine.yaml", "mine")
    assert str(caught.value).startswith("mine.yaml, line 2: ")
    assert message in str(caught.value)


def test_a_run_says_its_base_whole(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    for file in ("train.jsonl", "dev.jsonl"):
        (tmp_path / file).touch()
    recipe = load_recipe("base")
    begin(recipe, tmp_path, tmp_path / "run")
    request.getfixturevalue("no_bases")
    kept = json.loads((tmp_path / "run" / "run.json").read_text())["recipe"]
    assert kept["base"]["sha256"].startswith("cc324af070c2")
    assert Recipe.model_validate(kept) == recipe
    assert load_recipe(str(tmp_path / "run" / "recipe.yaml")) == recipe


def test_a_judge_that_is_saved_says_its_weights_whole(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    preset = load_preset("nano")
    learned = Calibration(
        criterion="tone", labels=("1", "2"), mode="verdict", method="temperature", temperature=2.0
    )
    found: Any = SimpleNamespace(chosen=learned)
    save(preset, found, tmp_path / "mine.yaml")
    request.getfixturevalue("no_bases")
    text = (tmp_path / "mine.yaml").read_text("utf-8")
    assert yaml.safe_load(text)["weights"]["sha256"] == preset.weights.sha256
    assert load_preset(str(tmp_path / "mine.yaml")).weights == preset.weights
