"""What the OpenVINO engine builds a model from, wherever it was read: a GGUF file or a folder of Transformers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from mene.engines.openvino.graph import Parts, Shape
from mene.engines.openvino.weights import Packed
from mene.errors import ModelError

# Architectures of Llama's form, by their names in GGUF files. Mistral's and SmolLM2's is called llama there.
KNOWN = ("llama", "qwen2", "qwen3")


@dataclass(frozen=True)
class Feed:
    """What is needed to feed a model.

    Attributes:
        tokenizer: a ``tokenizers.Tokenizer``.
        template: the chat template; may be empty.
        texts: what the template may name.
        context: tokens that it was trained to read at once.
        stops: tokens that end a turn.
        begin: the token that every prompt begins with; None where there is none.
    """

    tokenizer: Any
    template: str
    texts: dict[str, str]
    context: int
    control_tokens: frozenset[str]
    stops: frozenset[int]
    begin: int | None


class Tensors(Protocol):
    """The tensors of a model on the disk, by the names of GGUF."""

    def __contains__(self, name: str) -> bool: ...

    def shape(self, name: str) -> tuple[int, ...]:
        """Rows first, as numpy has it."""
        ...

    def vector(self, name: str) -> np.ndarray:
        """A tensor as float32."""
        ...

    def matrix(self, name: str) -> Packed | np.ndarray:
        """See ``openvino_graph.Matrix``."""
        ...


@dataclass(frozen=True)
class Source:
    """What is needed to build a model, and to feed it.

    Attributes:
        arch: one of ``KNOWN``.
        tied: see ``build``.
    """

    arch: str
    shape: Shape
    parts: Parts
    tied: bool
    feed: Feed
    tensors: Tensors


def layer_shapes(
    arch: str, width: int, inner: int, heads: int, kv_heads: int, size: int
) -> dict[str, tuple[int, ...]]:
    """The weights of a layer that the graph needs, by GGUF's names without ``blk.N.``, and their shapes."""
    shapes: dict[str, tuple[int, ...]] = {
        "attn_q.weight": (heads * size, width),
        "attn_k.weight": (kv_heads * size, width),
        "attn_v.weight": (kv_heads * size, width),
        "attn_output.weight": (width, heads * size),
        "ffn_gate.weight": (inner, width),
        "ffn_up.weight": (inner, width),
        "ffn_down.weight": (width, inner),
        "attn_norm.weight": (width,),
        "ffn_norm.weight": (width,),
    }
    if arch == "qwen3":
        shapes |= {"attn_q_norm.weight": (size,), "attn_k_norm.weight": (size,)}
    return shapes


@contextmanager
def said_of(path: Path, advice: str = "") -> Iterator[None]:
    """Errors name the file. A header may hold anything, and not all of that is worth a check of its own."""
    try:
        yield
    except Exception as error:
        raise ModelError(f"{path}: {in_words(error)}{advice}") from None


def in_words(error: Exception) -> str:
    """What is wrong with a file, of whatever it made some code raise."""
    return str(error) if isinstance(error, ModelError) else f"{type(error).__name__}: {error}"
