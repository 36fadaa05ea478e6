"""Folders of Transformers, and of PEFT, in the OpenVINO engine: held against the Transformers engine."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import mini_gguf, tiny_folder

from mene import Judge
from mene.engines.base import Request
from mene.engines.later import LaterEngine
from mene.errors import ModelError
from mene.export.gguf import Architecture, write_lora
from mene.judge.preset import load_preset
from mene.message import Message
from mene.weights.safetensors_file import read_safetensors, widened

pytest.importorskip("openvino")
torch = pytest.importorskip("torch")

from mene.engines.openvino.engine import OpenVINOEngine  # noqa: E402
from mene.engines.transformers.engine import TransformersEngine  # noqa: E402


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MENE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def requests(**more: Any) -> list[Request]:
    texts = ["yes, no and yes", "no <|endoftext|> no 123 é 日本", "yes " * 40]
    scales = [("yes", "no"), ("1", "10", "2"), ("yes yes", "yes no")]
    return [
        Request(n, (Message("user", f"Is it? {text}"),), labels, "", "**Result:**", **more)
        for n, (text, labels) in enumerate(zip(texts, scales, strict=True))
    ]


def assert_the_same(folder: Path, adapter: Path | None = None) -> OpenVINOEngine:
    """The engine, when it has said of everything what the Transformers engine says of the same folders."""
    right = TransformersEngine(
        str(folder), adapter=str(adapter) if adapter else None, device="cpu", dtype="float32"
    )
    engine = OpenVINOEngine(folder, adapters=[adapter] if adapter else [], threads=1)
    assert engine.control_tokens == right.control_tokens
    assert engine.context == min(right.context or 0, 8192)
    assert engine._model.stops == right._model.stops
    for asked in (requests(), requests(critique_tokens=4)[:1]):
        assert [engine.prompt(r) for r in asked] == [right.prompt(r) for r in asked]
        assert [engine.count(r) for r in asked] == [right.count(r) for r in asked]
        both = (sorted(e.run(asked), key=lambda d: d.index) for e in (engine, right))
        for one, other in zip(*both, strict=True):
            assert one.error is None and other.error is None
            assert one.critique == other.critique
            assert one.probabilities is not None and other.probabilities is not None
            moved = [abs(one.probabilities[x] - p) for x, p in other.probabilities.items()]
            assert max(moved) < 1e-4, (one, other)
    later = LaterEngine(folder, [adapter] if adapter else [], None, lambda: engine, "openvino")
    assert later.engine is engine  # the same identity
    assert (later.context, later.control_tokens) == (engine.context, engine.control_tokens)
    return engine


LLAMA3 = {
    "rope_type": "llama3", "rope_theta": 500.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}  # fmt: skip
LINEAR = {"rope_type": "linear", "factor": 4.0, "rope_theta": 1e4}
FORMS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "llama 3": ("Llama", "bfloat16", {"rope_parameters": LLAMA3, "tie_word_embeddings": True}),
    "with biases": ("Llama", "float16", {"attention_bias": True, "mlp_bias": True}),
    "qwen2": ("Qwen2", "bfloat16", {"num_hidden_layers": 1, "rope_parameters": LINEAR}),
    "qwen3": ("Qwen3", "float16", {"num_hidden_layers": 1}),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_folder_says_what_transformers_says(form: str, tmp_path: Path) -> None:
    kind, dtype, sizes = FORMS[form]
    assert_the_same(tiny_folder(tmp_path / "tiny", kind, dtype, **sizes)).close()


def change(path: Path, **changes: Any) -> None:
    """Other values in a JSON file; None takes one out."""
    found = {**json.loads(path.read_text("utf-8")), **changes}
    path.write_text(json.dumps({k: v for k, v in found.items() if v is not None}), "utf-8")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp("whole") / "tiny", "Llama", "float32")


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "tiny"))


def test_settings_as_older_versions_write_them(folder: Path) -> None:
    """Scaling and base of positions in two places, the template among several in the settings, tokens with their settings."""
    (folder / "chat_template.jinja").unlink()
    old = {key: value for key, value in LLAMA3.items() if key != "rope_theta"}
    change(
        folder / "config.json",
        rope_parameters=None,
        rope_theta=500.0,
        rope_scaling=old,
        head_dim=None,
    )
    change(
        folder / "tokenizer_config.json",
        chat_template=[
            {"name": "tools", "template": "no"},
            {"name": "default", "template": "{{ bos_token }}{{ messages[0].content }}"},
        ],
        bos_token={"content": "<|begin|>", "special": True, "__type": "AddedToken"},
        model_max_length=300,
    )  # fmt: skip
    engine = assert_the_same(folder)
    assert engine.context == 300
    assert engine.prompt(requests()[0]).startswith("<|begin|>Is it?")


def test_the_begin_of_a_text(folder: Path) -> None:
    """Where ``tokenizer.json`` adds it, a prompt has it, with a template or without."""
    from tokenizers import Tokenizer, processors

    tokens = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokens.post_processor = processors.TemplateProcessing(
        single=["<|begin|>", "$A"], special_tokens=[("<|begin|>", 1)]
    )
    tokens.save(str(folder / "tokenizer.json"))
    (folder / "chat_template.jinja").unlink()
    engine = assert_the_same(folder)
    assert engine._model.ids("yes")[0] == 1


def test_weights_in_several_files(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    expected = list(OpenVINOEngine(folder, threads=1).run(requests()))
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(weights)
    homes = {name: f"model-0000{1 + n % 2}-of-00002.safetensors" for n, name in enumerate(names)}
    for home in set(homes.values()):
        save_file({n: weights[n].clone() for n in names if homes[n] == home}, folder / home)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": homes}), "utf-8")
    for one, other in zip(OpenVINOEngine(folder, threads=1).run(requests()), expected, strict=True):
        assert one.probabilities == pytest.approx(other.probabilities)
    (folder / homes[names[0]]).unlink()
    with pytest.raises(
        ModelError, match=r"model-00001-of-00002.safetensors: cannot read the weights"
    ):
        OpenVINOEngine(folder)
    for wrong in ("../model.safetensors", 3):
        index.write_text(json.dumps({"weight_map": {**homes, names[0]: wrong}}), "utf-8")
        with pytest.raises(ModelError, match="weight_map does not list the files"):
            OpenVINOEngine(folder)


def config(**changes: Any) -> Callable[[Path], None]:
    return lambda folder: change(folder / "config.json", **changes)


OTHER = r".*the engine transformers may run it \(engine: transformers\)"
WRONG: dict[str, tuple[Callable[[Path], Any], str]] = {
    "another architecture": (config(model_type="gemma3"), "a model of the type 'gemma3'" + OTHER),
    "yarn": (config(rope_parameters={"rope_type": "yarn", "factor": 4.0}), "scaled by 'yarn'" + OTHER),
    "half-turned heads": (config(rope_parameters={"rope_type": "default", "partial_rotary_factor": 0.5}), "rotates part"),
    "a sliding window": (config(model_type="mistral", sliding_window=64), "sliding window" + OTHER),
    "layers that look back": (config(layer_types=["full_attention", "sliding_attention"]), "sliding window"),
    "quantised": (config(quantization_config={"quant_method": "awq"}), "quantised in a way" + OTHER),
    "another activation": (config(hidden_act="gelu"), "hidden_act is 'gelu'"),
    "no layers": (config(num_hidden_layers=None), "num_hidden_layers is None"),
    "layers in words": (config(num_hidden_layers="two"), "num_hidden_layers is 'two'"),
    "wider": (config(hidden_size=128), r"has the shape \(.*\), not \("),
    "deeper": (config(num_hidden_layers=3), "lacks the tensor that GGUF calls blk.2"),
    "shallower": (config(num_hidden_layers=1), "the tensor model.layers.1.* does not have"),
    "an epsilon of nothing": (config(rms_norm_eps=None), "rms_norm_eps is None"),
    "no config": (lambda f: (f / "config.json").unlink(), "not a model: no config.json"),
    "no JSON": (lambda f: (f / "config.json").write_text("{"), "config.json: not JSON"),
    "a list": (lambda f: (f / "config.json").write_text("[]"), "config.json: expected a mapping"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "no model.safetensors in it" + OTHER),
    "no tokens": (lambda f: (f / "tokenizer.json").unlink(), "no tokenizer.json in it; save it there"),
    "other tokens": (lambda f: (f / "tokenizer.json").write_text("{}"), "tokenizer.json: cannot be read"),
    "too many tokens": (lambda f: more_tokens(f / "tokenizer.json"), "a token has the number 999"),
    "half a file": (lambda f: cut(f / "model.safetensors"), "damaged safetensors file .*download it again"),
    "no template": (lambda f: (f / "chat_template.jinja").write_text("{% if"), "chat template cannot be read"),
    "only an adapter": (lambda f: (f / "config.json").rename(f / "adapter_config.json"), "an adapter, not a model"),
}  # fmt: skip


def more_tokens(path: Path) -> None:
    found = json.loads(path.read_text("utf-8"))
    found["model"]["vocab"]["odd"] = 999
    path.write_text(json.dumps(found), "utf-8")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize("what", WRONG)
def test_what_is_not_known_is_one_error(folder: Path, what: str) -> None:
    spoil, reason = WRONG[what]
    spoil(folder)
    with pytest.raises(ModelError, match=reason) as failed:
        OpenVINOEngine(folder)
    assert "\n" not in str(failed.value)
    assert str(folder) in str(failed.value) or "openvino" in str(failed.value)


@settings(max_examples=30)
@given(header=st.recursive(st.none() | st.integers() | st.text() | st.just("F32"), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["dtype", "shape", "data_offsets", "w"]), inner)), tail=st.binary(max_size=40))  # fmt: skip
def test_any_safetensors_file_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, header: Any, tail: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.safetensors"
    said = json.dumps(header).encode()
    for raw in (struct.pack("<Q", len(said)) + said + tail, said + tail):
        path.write_bytes(raw)
        try:
            for stored in read_safetensors(path).values():
                stored.plain()
        except ModelError as error:
            assert str(error).startswith(str(path))
            assert "\n" not in str(error)


def test_bfloat16_is_read_exactly() -> None:
    numbers = torch.tensor([0.0, -1.5, 3.1e38, float("inf"), 1e-40], dtype=torch.bfloat16)
    bits = numbers.view(torch.uint16).numpy()
    np.testing.assert_array_equal(widened(bits), numbers.float().numpy())


def peft_of(base: Path, folder: Path, **settings: Any) -> Path:
    """An adapter of random numbers, as PEFT saves it."""
    import peft
    import transformers

    torch.manual_seed(2)
    model = transformers.AutoModelForCausalLM.from_pretrained(str(base))
    sizes: dict[str, Any] = {"r": 4, "lora_alpha": 8, "target_modules": "all-linear", **settings}
    adapted = peft.get_peft_model(model, peft.LoraConfig(init_lora_weights=False, **sizes))
    adapted.save_pretrained(str(folder), save_embedding_layers=False)
    return folder


ADAPTERS: dict[str, dict[str, Any]] = {
    "all": {},
    "patterns": {
        "use_rslora": True,
        "rank_pattern": {"q_proj": 2},
        "alpha_pattern": {"layers.1.mlp.up_proj": 3, "k_proj": 20},
        "target_modules": ["q_proj", "k_proj", "up_proj", "lm_head"],
    },
}


@pytest.mark.parametrize("which", ADAPTERS)
def test_an_adapter_of_peft_says_what_transformers_says(
    whole: Path, tmp_path: Path, which: str
) -> None:
    adapter = peft_of(whole, tmp_path / "adapter", **ADAPTERS[which])
    plain = OpenVINOEngine(whole, threads=1)
    engine = assert_the_same(whole, adapter)
    both = zip(plain.run(requests()), engine.run(requests()), strict=True)
    moved = [
        abs((one.probabilities or {})[label] - p)
        for one, other in both
        for label, p in (other.probabilities or {}).items()
    ]
    assert max(moved) > 0.02


@pytest.mark.parametrize("arch", ["llama", "qwen2"])
def test_an_adapter_says_the_same_as_peft_and_as_gguf(arch: str, tmp_path: Path) -> None:
    """On a GGUF file, whose rows are in another order for Llama than those of a folder of PEFT."""
    from safetensors.numpy import save_file

    base = mini_gguf(tmp_path / "mini.gguf", arch)
    random = np.random.default_rng(1)
    modules = {
        "self_attn.q_proj": (32, 32),
        "self_attn.k_proj": (16, 32),
        "mlp.down_proj": (32, 32),
    }
    factors = {
        f"model.layers.0.{module}": (
            random.normal(size=(2, width)).astype(np.float16).astype(np.float32),
            random.normal(size=(rows, 2)).astype(np.float16).astype(np.float32),
        )
        for module, (rows, width) in modules.items()
    }
    write_lora(tmp_path / "adapter.gguf", Architecture(arch, 1, 2, 1), "mini", 0.5, factors)
    folder = tmp_path / "adapter"
    folder.mkdir()
    settings = {"peft_type": "LORA", "lora_alpha": 0.5, "r": 2}
    (folder / "adapter_config.json").write_text(json.dumps(settings))
    tensors = {}
    for module, sides in factors.items():
        for side, values in zip("AB", sides, strict=True):
            tensors[f"base_model.model.{module}.lora_{side}.weight"] = values
    save_file(tensors, folder / "adapter_model.safetensors")
    said = []
    for adapters in ([], [tmp_path / "adapter.gguf"], [folder]):
        engine = OpenVINOEngine(base, adapters=adapters, threads=1)
        (done,) = engine.run(requests()[:1])
        said.append((done.probabilities or {})["yes"])
    assert said[1] == pytest.approx(said[2], abs=1e-6)
    assert abs(said[0] - said[1]) > 0.01


def drop(path: Path, end: str) -> None:
    """Leave out a tensor by the end of its name."""
    from safetensors.torch import load_file, save_file

    save_file({n: t for n, t in load_file(path).items() if not n.endswith(end)}, path)


def setting(**changes: Any) -> Callable[[Path], None]:
    return lambda folder: change(folder / "adapter_config.json", **changes)


TRANSFORMERS = ".*; the engine transformers may use it"
NOT_FIT: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no settings": (lambda f: (f / "adapter_config.json").unlink(), "not an adapter: no adapter_config.json"),
    "no weights": (lambda f: (f / "adapter_model.safetensors").unlink(), "no adapter_model.safetensors in it"),
    "half of the weights": (lambda f: cut(f / "adapter_model.safetensors"), "damaged safetensors file"),
    "one side": (lambda f: drop(f / "adapter_model.safetensors", "0.mlp.up_proj.lora_A.weight"), "only one of the two"),
    "another method": (setting(peft_type="IA3"), "kind 'IA3'" + TRANSFORMERS),
    "DoRA": (setting(use_dora=True), "an adapter with use_dora" + TRANSFORMERS),
    "biases": (setting(bias="all"), "with bias 'all'" + TRANSFORMERS),
    "whole matrices": (setting(modules_to_save=["lm_head"]), "an adapter with modules_to_save" + TRANSFORMERS),
    "no alpha": (setting(lora_alpha="x"), "lora_alpha is 'x'"),
    "a pattern that is none": (setting(alpha_pattern={"(": 1}), "adapter: "),
}  # fmt: skip


@pytest.fixture(scope="module")
def adapter(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return peft_of(whole, tmp_path_factory.mktemp("adapter") / "adapter")


@pytest.mark.parametrize("what", NOT_FIT)
def test_an_adapter_that_is_not_known_is_one_error(
    whole: Path, adapter: Path, tmp_path: Path, what: str
) -> None:
    spoil, reason = NOT_FIT[what]
    mine = Path(shutil.copytree(adapter, tmp_path / "adapter"))
    spoil(mine)
    with pytest.raises(ModelError, match=reason) as failed:
        LaterEngine(whole, [mine], None, unloaded, "openvino")
    assert str(failed.value).startswith(str(mine))
    assert "\n" not in str(failed.value)


def unloaded() -> Any:
    raise AssertionError("loaded")


OTHERS = {"wider": {"hidden_size": 64}, "shallower": {"num_hidden_layers": 1}}


@pytest.mark.parametrize("which", OTHERS)
def test_an_adapter_of_another_model_is_told_before_anything_is_loaded(
    adapter: Path, tmp_path: Path, which: str
) -> None:
    other = tiny_folder(tmp_path / "other", "Llama", "float32", **OTHERS[which])
    reason = r"adapter: this adapter was trained on another model than other \(model.layers.*\); give the model"
    with pytest.raises(ModelError, match=reason):
        LaterEngine(other, [adapter], None, unloaded, "openvino")
    tiny = mini_gguf(tmp_path / "mini.gguf")
    with pytest.raises(ModelError, match=r"another model than mini.gguf \(model.layers"):
        LaterEngine(tiny, [adapter], None, unloaded, "openvino")
    with pytest.raises(
        ModelError, match=r"is a PEFT folder, but llama.cpp reads only GGUF adapters; use"
    ):
        LaterEngine(tiny, [adapter], None, unloaded, "llamacpp")


def test_an_adapter_of_a_head_that_is_shared(tmp_path: Path) -> None:
    tied = tiny_folder(tmp_path / "tied", "Llama", "float32", tie_word_embeddings=True)
    free = tiny_folder(tmp_path / "free", "Llama", "float32")
    adapter = peft_of(free, tmp_path / "adapter", target_modules=["lm_head"])
    with pytest.raises(ModelError, match="lm_head, which tied shares with its embeddings; the"):
        OpenVINOEngine(tied, adapters=[adapter])


def test_a_preset_of_folders(whole: Path, adapter: Path, tmp_path: Path) -> None:
    """Also under the engine ``embedded``; what does not fit is told when the judge is opened."""
    (tmp_path / "judge.yaml").write_text(
        f"engine: embedded\nweights: {{path: {whole}}}\nadapter: {adapter}\ntemplate: prefix\nmode: verdict\n"
    )
    judge = Judge(str(tmp_path / "judge.yaml"), load=False)
    assert judge.engine.identity.startswith("openvino:tiny:")
    verdict = judge("yes", criterion="helpfulness", instruction="no?")
    assert verdict.error is None and verdict.probabilities is not None
    judge.close()
    plain = load_preset(f"openvino:{whole}")
    assert (plain.engine, plain.weights.path) == ("openvino", str(whole))
