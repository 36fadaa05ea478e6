"""What the OpenVINO engine builds a model from, read from a GGUF file or a Transformers folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from mene.engines.openvino.parts import Parts, Shape
from mene.engines.openvino.weights import Packed
from mene.errors import ModelError

# Supported architectures, by their GGUF names. Mistral and SmolLM2 are called llama there.
KNOWN = ("llama", "qwen2", "qwen3")


@dataclass(frozen=True)
class Feed:
    """What is needed to feed a model.

    Attributes:
        tokenizer: a ``tokenizers.Tokenizer``.
        template: the chat template; may be empty.
        texts: special tokens that the template may refer to, by name.
        context: number of tokens that it was trained to read.
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
    """The tensors of a model on disk, under GGUF's names."""

    def __contains__(self, name: str) -> bool: ...

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape, rows first, as in numpy."""
        ...

    def vector(self, name: str) -> np.ndarray:
        """Return a tensor as float32."""
        ...

    def matrix(self, name: str) -> Packed | np.ndarray:
        """See ``parts.Matrix``."""
        ...


@dataclass(frozen=True)
class Source:
    """What is needed to build a model and to feed it.

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
    """Return the shapes of the weights that the graph needs in a layer, by GGUF's names without ``blk.N.``."""
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
    """Convert errors into ones that name the file. A header may hold anything; not every fault has a check of its own."""
    try:
        yield
    except Exception as error:
        raise ModelError(f"{path}: {in_words(error)}{advice}") from None


def in_words(error: Exception) -> str:
    """Return a readable reason for an error that a bad file caused somewhere."""
    return str(error) if isinstance(error, ModelError) else f"{type(error).__name__}: {error}"
