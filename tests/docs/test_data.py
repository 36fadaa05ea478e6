"""Every block of YAML, TOML and JSON in the pages is read by what reads it in mene."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from mene.criteria_set import load_criteria
from mene.criterion import parse_criterion
from mene.curate.raw.rows import read_row
from mene.curate.raw.sources import find_source
from mene.gate.rules_file import parse_rules
from mene.judge.preset import parse_preset
from mene.recipe import load_recipe
from mene.verdict import Verdict
from tests.docs.written import ROOT, Written, written

DATA = [one for one in written() if one.block.language in ("yaml", "json", "toml")]
PROMPTFOO = {
    "prompts",
    "defaultTest",
    "providers",
    "tests",
}  # a configuration of promptfoo, which is not a package of Python


def read(code: str, language: str, folder: Path) -> str:
    """What a block is, once it has been read as that; raises if it is not good."""
    if language == "json" and "criterion" not in code:
        assert read_row(find_source("begin_dev"), code.replace('"no"', '"generic"'))
        return "a row of a raw set"
    if language == "json":
        return Verdict.model_validate(json.loads(code)).criterion and "a verdict"
    data: Any = yaml.safe_load(code)
    if isinstance(data, list):
        return steps(data)
    if "repos" in data:
        return hooks(data)
    if "criteria" in data:
        (folder / "set.yaml").write_text(code, "utf-8")
        return load_criteria(str(folder / "set.yaml")).criteria and "a set"
    if "data" in data:
        recipe = folder / "recipe.yaml"
        recipe.write_text(code, "utf-8")
        return load_recipe(str(recipe)).data.own and "a recipe"
    if "question" in data:
        return parse_criterion(code, "page").name and "a criterion"
    if "weights" in data:
        preset = parse_preset(
            code if "engine" in data else f"engine: embedded\n{code}", "page", "page"
        )
        return preset.weights and "a preset"
    if PROMPTFOO & set(data):
        assert set(data) <= PROMPTFOO
        return "promptfoo"
    return parse_rules(code, "page")[0] and "rules"


def steps(data: list[dict[str, Any]]) -> str:
    """Steps of a workflow on GitHub: those with the action of mene give it what it takes."""
    action = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))["inputs"]
    for step in data:
        if "mene@" in step["uses"]:
            assert set(step["with"]) <= set(action)
            assert {name for name, about in action.items() if about.get("required")} <= set(
                step["with"]
            )
            for criterion in step["with"]["criteria"].split("\n"):
                assert not criterion or load_criteria(criterion)
    return "steps"


def hooks(data: dict[str, Any]) -> str:
    """A configuration of pre-commit: its hooks are those of mene."""
    there = {
        hook["id"] for hook in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text("utf-8"))
    }
    assert {hook["id"] for repo in data["repos"] for hook in repo["hooks"]} <= there
    return "hooks"


@pytest.mark.parametrize("one", DATA, ids=str)
def test_a_block_is_read(one: Written, tmp_path) -> None:
    assert read(one.block.code, one.block.language, tmp_path)


def test_each_kind_is_there(tmp_path) -> None:
    kinds = {read(one.block.code, one.block.language, tmp_path) for one in DATA}
    assert kinds >= {"a verdict", "a set", "a criterion", "a preset", "rules", "steps", "hooks"}


@pytest.mark.parametrize(
    "code",
    [
        "faithfulness: shar(Yes) >= 0.95",
        "criteria: [faithfullness]",
        "question: Is it good?\nscale: 5-1",
        "weights: {hub: x, pth: y}",
    ],
)
def test_a_wrong_block_is_found(code, tmp_path) -> None:
    with pytest.raises(Exception):  # noqa: B017
        read(code, "yaml", tmp_path)


def test_bodies_of_requests_are_json() -> None:
    """And so is what stands behind ``-d`` in a request of a page, whatever it is sent with."""
    bodies = [
        body
        for one in written()
        for body in re.findall(r"-d '(\{.*?\})'", one.block.code, flags=re.S)
    ]
    assert len(bodies) >= 10
    for body in bodies:
        json.loads(body)
