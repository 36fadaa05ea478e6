"""Measuring this machine's training speed for a base, within seconds.

The seven matrices of a layer (``Shape.matrices``) are multiplied forward and backward, with as many tokens as a pack, in the
recipe's number format. The rest of a step (attention, norms, the optimiser) takes time but few of the FLOPs that a plan counts;
``REST`` allows for it.
"""

from __future__ import annotations

import time

from mene.errors import ModelError
from mene.recipe import Recipe
from mene.train.plan.shape import Shape

REST = 0.8  # share of a step's time that its matrices take
SECONDS = 2.0  # approximate duration of the measurement
TOKENS = 512  # maximum: more do not change the speed


def measured_flops(recipe: Recipe, shape: Shape, seconds: float = SECONDS) -> float:
    """Return the FLOPs per second of this machine's processor in training, on all its cores.

    Raises:
        ModelError: PyTorch is not installed.
    """
    try:
        import torch
    except ImportError:
        raise ModelError(
            'torch is not installed, so this processor cannot be measured; run: pip install "mene[train]", or give --rate'
        ) from None
    dtype = getattr(torch, recipe.train.dtype)
    tokens = min(TOKENS, recipe.train.pack_tokens)
    full = recipe.adapter is None
    weights = [
        torch.randn(b, a, dtype=dtype).mul_(0.02).requires_grad_(full) for a, b in shape.matrices
    ]
    inputs = {a: torch.randn(tokens, a, dtype=dtype, requires_grad=True) for a, _ in shape.matrices}

    def once() -> None:
        for (a, _), weight in zip(shape.matrices, weights, strict=True):
            torch.nn.functional.linear(inputs[a], weight).sum().backward()

    once()  # the first call allocates memory and selects kernels
    start, rounds = time.perf_counter(), 0
    while rounds < 1 or time.perf_counter() - start < seconds:
        once()
        rounds += 1
    spent = time.perf_counter() - start
    return 2 * (3 if full else 2) * shape.layer * tokens * rounds / spent * REST
