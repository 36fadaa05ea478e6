"""What makes a training fast on a GPU: compiled layers, and an attention that skips what no token attends to.

Measured with 1.5 billion weights, rank 8 on all layers and packs of 8,192 tokens on one H200: docs/research/training.md.
"""

from __future__ import annotations

import torch

from mene.engines.transformers.loaded import Loaded
from mene.train.forward import FLEX
from mene.train.lower import layers_of


def prepare(loaded: Loaded) -> None:
    """Make a model's layers and attention fast, where it is on a GPU and reads prefix trees."""
    if not (loaded.device.startswith("cuda") and loaded.trees and loaded.sliding_window is None):
        return
    torch.set_float32_matmul_precision("high")  # TF32, for the float32 output matrix
    loaded.model.set_attn_implementation(FLEX)
    # Packs have one size (``forward.tensors``), so each layer is compiled once; all share the result.
    for layer in layers_of(loaded.model):
        layer.compile(dynamic=False)
