"""A Transformers folder as a source for the OpenVINO graph: ``config.json``, ``model*.safetensors``.

``folder_tokenizer.py`` reads its tokeniser.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np

from mene.engines.folder_tokenizer import FolderTexts, feed_of, read_json, read_texts
from mene.engines.openvino.parts import Parts, Shape
from mene.engines.openvino.source import Source, layer_shapes, said_of
from mene.errors import ModelError
from mene.weights.peft import CONFIG
from mene.weights.safetensors_file import KINDS, Stored, read_safetensors

ADVICE = "; the engine transformers may run it (engine: transformers)"
# ``model_type`` -> the name of that architecture in GGUF files.
_TYPES = {"llama": "llama", "mistral": "llama", "qwen2": "qwen2", "qwen3": "qwen3"}
_TOP = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
_IN_LAYER = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
}  # fmt: skip
_ATTENTION = ("attn_q", "attn_k", "attn_v", "attn_output")
_MLP = ("ffn_gate", "ffn_up", "ffn_down")


def gguf_name(module: str) -> str | None:
    """Return GGUF's name of a Transformers module: ``model.layers.0.mlp.up_proj`` is ``blk.0.ffn_up``; None without one."""
    if module in _TOP:
        return _TOP[module]
    found = re.fullmatch(r"model\.layers\.(\d+)\.(.+)", module)
    if found is None or found[2] not in _IN_LAYER:
        return None
    return f"blk.{int(found[1])}.{_IN_LAYER[found[2]]}"


class FolderTensors:
    """The tensors of a folder, under GGUF's names (``source.Tensors``)."""

    def __init__(self, stored: dict[str, Stored]) -> None:
        self._stored = stored

    def __contains__(self, name: str) -> bool:
        return name in self._stored

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape, rows first, as in numpy."""
        return self._stored[name].shape

    def vector(self, name: str) -> np.ndarray:
        """Return a tensor as float32."""
        return self._stored[name].plain()

    def matrix(self, name: str) -> np.ndarray:
        """See ``parts.Matrix``."""
        return self._stored[name].read()


def folder_type(folder: Path) -> str:
    """Return a model's architecture, as GGUF names it.

    Raises:
        ModelError: it is not supported here.
    """
    config = _config(folder)
    with said_of(folder, ADVICE):
        _check_form(config)
    return _TYPES[config["model_type"]]


def folder_texts(folder: Path) -> FolderTexts:
    """Return what a judge must know of a model before it is loaded, after checking that the graph supports its settings.

    Raises:
        ModelError: as for ``folder_source``.
    """
    config = _config(folder)
    folder_tensors(folder, config)
    return read_texts(folder, config)


def folder_source(folder: Path) -> Source:
    """Read a model.

    Raises:
        ModelError: a file is missing or damaged, or the graph does not support the model.
    """
    config = _config(folder)
    tensors = folder_tensors(folder, config)
    texts = read_texts(folder, config)
    with said_of(folder, ADVICE):
        shape = _shape(config)
    feed = feed_of(folder, texts, rows=tensors.shape("token_embd.weight")[0])

    def vector(name: str) -> np.ndarray | None:
        return tensors.vector(name) if name in tensors else None

    parts = Parts(lambda name: tensors.matrix(f"{name}.weight"), vector)
    arch = _TYPES[config["model_type"]]
    return Source(arch, shape, parts, "output.weight" not in tensors, feed, tensors)


def folder_tensors(folder: Path, config: dict[str, Any] | None = None) -> FolderTensors:
    """Return the table of a model's tensors, after checking that each belongs to the graph and has the right size.

    Raises:
        ModelError: as for ``folder_source``.
    """
    config = config or _config(folder)
    with said_of(folder, ADVICE):
        _check_form(config)
        _shape(config)
        needed = _needed(config)
    there = _table(folder)
    with said_of(folder, ADVICE):
        return FolderTensors(_fitting(there, needed, bool(config.get("tie_word_embeddings"))))


def _config(folder: Path) -> dict[str, Any]:
    if not (folder / "config.json").is_file():
        if (folder / CONFIG).is_file():
            raise ModelError(
                f"{folder} is an adapter, not a model; name it under `adapter` in a preset"
            )
        raise ModelError(
            f"{folder}: not a model: no config.json in it; give a folder of Transformers, or a GGUF file"
        )
    return read_json(folder / "config.json")


def _table(folder: Path) -> dict[str, Stored]:
    """Return all tensors by their Transformers names; like Transformers, prefer ``model.safetensors`` to an index."""
    whole, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if whole.is_file() or not index.is_file():
        if not whole.is_file():
            raise ModelError(f"{folder}: no model.safetensors in it{ADVICE}")
        return read_safetensors(whole)
    said = read_json(index).get("weight_map")
    homes: dict[str, Any] = said if isinstance(said, dict) else {}
    names = list(homes.values())
    if not names or not all(isinstance(n, str) and Path(n).name == n for n in names):
        raise ModelError(f"{index}: weight_map does not list the files; download it again")
    files = {name: read_safetensors(folder / name) for name in sorted(set(names))}
    for name, home in homes.items():
        if name not in files[home]:
            raise ModelError(f"{folder / home}: lacks {name}, which the index puts there")
    return {name: files[home][name] for name, home in homes.items()}


def _check_form(config: dict[str, Any]) -> None:
    kind = config.get("model_type")
    if kind not in _TYPES:
        known = ", ".join(_TYPES)
        raise ModelError(f"a model of the type {kind!r:.40}, but this engine knows only {known}")
    if config.get("quantization_config"):
        raise ModelError("its weights are quantised in a way that this engine does not know")
    if (act := config.get("hidden_act", "silu")) != "silu":
        raise ModelError(f"hidden_act is {act!r:.40}, which this engine does not have")
    layers = config.get("layer_types") or []
    if any(layer != "full_attention" for layer in layers) or _slides(config, kind, layers):
        raise ModelError("a model with a sliding window, which this engine does not have")


def _slides(config: dict[str, Any], kind: str, layers: list[str]) -> bool:
    """Return whether some layers use a sliding window, for a configuration without ``layer_types``."""
    if layers or kind == "llama":
        return False
    window = config.get("sliding_window", 4096 if kind == "mistral" else None)
    if not window:
        return False
    if kind == "mistral":
        return True
    first = config.get("max_window_layers", 28)  # lower layers attend to everything
    return bool(config.get("use_sliding_window")) and _one(config, "num_hidden_layers") > first


def _needed(config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Return the tensors of this configuration and their shapes, by GGUF's names."""
    arch = _TYPES[config["model_type"]]
    heads, kv_heads, size = _heads(config)
    width, inner = _one(config, "hidden_size"), _one(config, "intermediate_size")
    rows, layers = _one(config, "vocab_size"), _one(config, "num_hidden_layers")
    if layers > 1000:
        raise ModelError(f"num_hidden_layers is {layers}")
    biased: tuple[str, ...] = _ATTENTION[:3] if arch == "qwen2" else ()
    if config["model_type"] in ("llama", "qwen3") and config.get("attention_bias"):
        biased = _ATTENTION
    if config["model_type"] == "llama" and config.get("mlp_bias"):
        biased += _MLP
    layer = layer_shapes(arch, width, inner, heads, kv_heads, size)
    layer |= {f"{name}.bias": layer[f"{name}.weight"][:1] for name in biased}
    needed: dict[str, tuple[int, ...]] = {
        "token_embd.weight": (rows, width),
        "output_norm.weight": (width,),
    }
    if not config.get("tie_word_embeddings"):
        needed["output.weight"] = (rows, width)
    for number in range(layers):
        needed |= {f"blk.{number}.{name}": shape for name, shape in layer.items()}
    return needed


def _fitting(
    there: dict[str, Stored], needed: dict[str, tuple[int, ...]], tied: bool
) -> dict[str, Stored]:
    """Return the tensors by GGUF's names, each checked for its size. An extra tensor is an error: the graph would ignore it."""
    found: dict[str, Stored] = {}
    for name, stored in sorted(there.items()):
        module, _, part = name.rpartition(".")
        short = f"{gguf_name(module)}.{part}"
        if name.endswith("rotary_emb.inv_freq") or (tied and name == "lm_head.weight"):
            continue  # Transformers ignores these too
        if short not in needed:
            raise ModelError(f"a model with the tensor {name}, which this engine does not have")
        if stored.shape != needed[short]:
            raise ModelError(f"its tensor {name} has the shape {stored.shape}, not {needed[short]}")
        if stored.kind not in KINDS:
            raise ModelError(f"its tensor {name} is in {stored.kind}, which this engine lacks")
        found[short] = stored
    if missing := needed.keys() - found.keys():
        raise ModelError(f"it lacks the tensor that GGUF calls {min(missing)}")
    return found


def _shape(config: dict[str, Any]) -> Shape:
    heads, kv_heads, size = _heads(config)
    epsilon = _real(config, "rms_norm_eps")
    layers = _one(config, "num_hidden_layers")
    return Shape(layers, heads, kv_heads, size, epsilon, _frequencies(config, size))


def _heads(config: dict[str, Any]) -> tuple[int, int, int]:
    """Return the numbers of heads and of key-value heads, and the width of a head."""
    heads = _one(config, "num_attention_heads")
    kv_heads = _one(config, "num_key_value_heads", heads)
    if heads % kv_heads:
        raise ModelError(f"{heads} heads cannot share the keys of {kv_heads}")
    usual = 128 if config["model_type"] == "qwen3" else _one(config, "hidden_size") // heads
    size = _one(config, "head_dim", usual)
    if size % 2:
        raise ModelError(f"heads of {size} numbers, which cannot be turned in halves")
    return heads, kv_heads, size


def _one(config: dict[str, Any], key: str, usual: int | None = None) -> int:
    value = config.get(key)
    value = usual if value is None else value
    if type(value) is not int or not 0 < value < 1 << 27:
        raise ModelError(f"config.json: {key} is {value!r:.40}, and not a number above 0")
    return value


def _real(fields: dict[str, Any], key: str, usual: float | None = None) -> float:
    value = fields.get(key, usual)
    if type(value) not in (int, float) or not math.isfinite(value) or value <= 0:
        raise ModelError(f"config.json: {key} is {value!r:.40}, and not a number above 0")
    return float(value)


def _frequencies(config: dict[str, Any], size: int) -> np.ndarray:
    """Return radians per token. Transformers 5 stores all settings in ``rope_parameters``, older versions in two places."""
    said = config.get("rope_parameters") or config.get("rope_scaling") or {}
    if not isinstance(said, dict):
        raise ModelError(f"config.json: rope_scaling is {said!r:.40}")
    base = _real(said, "rope_theta", config.get("rope_theta", 10000.0))
    found = base ** (-np.arange(0, size, 2) / size)
    if said.get("partial_rotary_factor", config.get("partial_rotary_factor", 1.0)) != 1.0:
        raise ModelError("a model that rotates part of its heads, which this engine does not")
    kind = said.get("rope_type", said.get("type", "default"))
    if kind == "default":
        return found
    if kind == "linear":
        return found / _real(said, "factor")
    if kind != "llama3":
        raise ModelError(f"positions scaled by {kind!r:.40}, which this engine does not have")
    return _llama3(found, said)


def _llama3(frequencies: np.ndarray, said: dict[str, Any]) -> np.ndarray:
    """Slow long waves by a factor, keep short ones, interpolate between (Transformers' modeling_rope_utils.py)."""
    factor, low, high = (
        _real(said, key) for key in ("factor", "low_freq_factor", "high_freq_factor")
    )
    if high <= low:
        raise ModelError(f"config.json: high_freq_factor {high:g} is not above low_freq_factor")
    turns = _one(said, "original_max_position_embeddings") * frequencies / (2 * math.pi)
    share = np.clip((turns - low) / (high - low), 0, 1)
    return (1 - share) * frequencies / factor + share * frequencies
