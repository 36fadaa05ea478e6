"""Presets: built-in ones load, specs are understood, typos are named."""

from __future__ import annotations

import pytest

from mene.errors import UsageError
from mene.preset import fetch, load_preset, parse_preset, preset_names
from mene.template import load_template


def test_built_in_presets_load_and_their_templates_exist() -> None:
    names = preset_names()
    assert names[0] == "nano"
    assert {"selene-mini", "selene-mini-ollama", "prometheus-2", "flow-judge", "gpt-4o-mini"} < set(
        names
    )
    for name in names:
        preset = load_preset(name)
        assert preset.name == name
        assert preset.about
        load_template(preset.template)
    assert "near chance" in load_preset("nano").warning


def test_specs() -> None:
    local = load_preset("llamacpp:/m/x.gguf")
    assert (local.engine, local.weights.path) == ("llamacpp", "/m/x.gguf")
    hub = load_preset("hf:org/model")
    assert (hub.engine, hub.weights.hub) == ("transformers", "org/model")
    served = load_preset("openai:qwen3:8b@http://localhost:11434/v1")
    assert (served.weights.served, served.weights.url) == ("qwen3:8b", "http://localhost:11434/v1")
    assert load_preset("openai:gpt-4o").weights.url is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("engine: llamacpp\nwieghts: {}", 'unknown key "wieghts"; did you mean "weights"'),
        ("engine: llamacp\nweights: {path: x}", "engine"),
        ("engine: llamacpp\nweights: {paht: x}", 'unknown key "paht"; did you mean "path"'),
        ("- a", "expected the keys"),
        ("a: [", "not valid YAML"),
    ],
)
def test_typos_are_named(text, message) -> None:
    with pytest.raises(UsageError, match=message):
        parse_preset(text, "mine.yaml", "mine")


def test_unknown_judge_and_missing_file() -> None:
    with pytest.raises(UsageError, match='did you mean "nano"'):
        load_preset("nanoo")
    with pytest.raises(UsageError, match="no such model file"):
        fetch(load_preset("llamacpp:/nowhere.gguf"))
