"""What a model consists of, as its graph takes it: sizes, matrices, adapters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mene.engines.openvino.weights import Packed

# A matrix's numbers: packed, plain float16 or float32, or bfloat16 as the bits in uint16.
Matrix = Packed | np.ndarray


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of a model.

    Attributes:
        layers, heads, kv_heads, head_size: of the attention.
        epsilon: of the norms.
        frequencies: (head_size / 2,) of the rotary embedding, radians per token.
    """

    layers: int
    heads: int
    kv_heads: int
    head_size: int
    epsilon: float
    frequencies: np.ndarray


@dataclass(frozen=True, slots=True)
class LowRank:
    """An adapter of one matrix, which adds ``(x @ a.T) @ b.T``. Shapes (rank, in) and (out, rank), float32."""

    a: np.ndarray
    b: np.ndarray


@dataclass(frozen=True, slots=True)
class Parts:
    """The source of the graph's numbers. Names are GGUF's, without ``.weight``.

    Attributes:
        matrix: name -> weights (out, in); q and k in the row order of Transformers.
        vector: name -> float32, or None where the model has no such vector.
        adapters: each name -> the adapter of that matrix, or None.
    """

    matrix: Callable[[str], Matrix]
    vector: Callable[[str], np.ndarray | None]
    adapters: tuple[Callable[[str], LowRank | None], ...] = ()
