"""Bytes per GPU for a training run, and what to change where they are not available.

* Weights, gradients, Adam (Rajbhandari et al. 2020, arXiv 1910.02054, section 3): 4 + 4 + 8 bytes per trained weight.
* Activations: counted as by Korthikanti et al. 2022 (arXiv 2205.05198, section 4.1), for gated layers, RMSNorm and fused
  attention, without recomputation; the factors are what PyTorch 2 saves (``tests/train/test_plan.py`` counts it).

The reference's log-probabilities are computed once, before training, so there is no second model in memory.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from mene.errors import ModelError
from mene.recipe import Adapter, Recipe
from mene.train.plan.hardware import GPUS, Hardware, memory_of
from mene.train.plan.shape import Shape
from mene.train.plan.tokens import Tokens

RUNTIME = 1e9  # bytes of PyTorch itself: its libraries, or a CUDA context
USABLE = 0.9  # share of the memory; the rest is for fragmentation and temporary values


@dataclass(frozen=True)
class Memory:
    """Bytes per GPU.

    Attributes:
        copies: weights gathered from other GPUs or cast to the computing format; DDP's buckets.
        mask: of attention; grows with the square of the largest pack.
    """

    weights: float
    adapter: float
    gradients: float
    optimiser: float
    copies: float
    activations: float
    logits: float
    mask: float
    runtime: float = RUNTIME

    @property
    def total(self) -> float:
        return sum(asdict(self).values())


def memory(
    recipe: Recipe, shape: Shape, tokens: Tokens, gpus: int = 1, sharded: bool = False
) -> Memory:
    """Return the bytes per GPU at the largest pack.

    Args:
        sharded: weights, gradients and Adam's averages are divided among the GPUs (FSDP); else each GPU has all (DDP).
    """
    full, mixed = recipe.adapter is None, recipe.train.dtype == "bfloat16"
    size, n, trained = 2 if mixed else 4, tokens.largest, trained_weights(recipe, shape)
    share = gpus if sharded else 1
    ends = shape.vocabulary * shape.hidden * (1 if shape.tied else 2)
    if sharded:
        # Two layers, the embedding and the output matrix are gathered at a time; if they are trained, with gradients.
        copies = size * (2 * shape.layer + ends) * (2 if full else 1)
    else:
        cast = 2 * (shape.layers * shape.layer + ends) if full and mixed else 0
        copies = cast + (4 * trained if gpus > 1 else 0)
    # The mask exists as bool and as numbers; from float32, each layer makes its own copy.
    mask = 5 + 2 * shape.layers if full and mixed else 1 + size
    return Memory(
        weights=(4 if full else size) * shape.parameters / share,
        adapter=0 if full else 4 * trained / share,
        gradients=4 * trained / share,
        optimiser=8 * trained / share,
        copies=copies,
        activations=upper_layers(recipe, shape) * n * _kept(recipe, shape),
        logits=14 * shape.vocabulary * tokens.logits_most,  # float32 thrice and bfloat16
        mask=mask * n**2,
    )


def _kept(recipe: Recipe, shape: Shape) -> float:
    """Return the bytes per token that a layer keeps for the backward pass."""
    h, d, f = shape.hidden, shape.width, shape.intermediate
    norms, head = (shape.norms - 2) * h, shape.head_norms * d
    if recipe.train.dtype == "float32":
        return 24 * h + 16 * d + 16 * f + 8 * norms + 10 * head
    if recipe.adapter is None:
        return 26 * h + 8 * d + 8 * f + 8 * norms + 10 * head
    return 18 * h + 10 * d + 8 * f + 4 * norms + 5 * head + 14 * recipe.adapter.rank


def upper_layers(recipe: Recipe, shape: Shape) -> int:
    """Return the number of layers that gradients pass through."""
    if recipe.adapter is None:
        return shape.layers
    return max(1, round(shape.layers * min(recipe.adapter.upper, 1 - recipe.adapter.frozen)))


def trained_weights(recipe: Recipe, shape: Shape) -> int:
    """Return the number of trained weights."""
    if recipe.adapter is None:
        return shape.parameters
    return recipe.adapter.rank * upper_layers(recipe, shape) * sum(a + b for a, b in shape.matrices)


def remedies(
    recipe: Recipe, shape: Shape, hardware: Hardware, tokens: Tokens, sharded: bool
) -> list[str]:
    """Return single changes with which the run fits, each with the resulting memory."""
    gpus, now = hardware.gpus, memory(recipe, shape, tokens, hardware.gpus, sharded)
    kinds: list[list[tuple[str, Memory, float]]] = [
        [],
        [],
        [],
        [],
    ]  # the first of each kind that fits
    lora = recipe.model_copy(update={"adapter": Adapter()})
    for part in (1, 2, 4, 8):
        less = replace(tokens, largest=tokens.largest // part)
        size = recipe.train.pack_tokens // part
        packs = f"train.pack_tokens: {size}"
        if recipe.adapter is None:
            each = memory(lora, shape, less, gpus)
            what = "adapter: {rank: 16, alpha: 32}" + (f" and {packs}" if part > 1 else "")
            kinds[0].append((what, each, hardware.memory))
        if part > 1 and size >= 64:
            kinds[1].append((packs, memory(recipe, shape, less, gpus, sharded), hardware.memory))
    if hardware.tflops:
        for more in (n for n in (2, 4, 8, 16, 32, 64) if n > gpus):
            each = memory(recipe, shape, tokens, more, True)
            kinds[2].append((f"{more} GPUs, sharded", each, hardware.memory))
        kinds[3] = [(f"{gpus} x {g.name}", now, g.memory) for g in GPUS.values()]
    found = [
        next((f"{w} ({m.total / 1e9:.1f} GB)" for w, m, most in k if m.total <= most * USABLE), "")
        for k in kinds
    ]
    if not any(found):
        found = ["an adapter, smaller packs and more memory together, or a smaller base"]
    return [what for what in found if what]


def need_memory(
    recipe: Recipe,
    shape: Shape,
    tokens: Tokens | None = None,
    device: str = "cpu",
    *,
    gpus: int = 1,
    sharded: bool = False,
) -> None:
    """Check that a run fits, before weights are loaded.

    Args:
        tokens: of the packs; without them, only weights are counted.
        gpus: processes that train together; ``sharded`` as in ``memory``.

    Raises:
        ModelError: says how much is needed and available, and what to change.
    """
    there = memory_of(device)
    tokens = tokens or Tokens(0, 0, 0, 0, 0, 0.0, 0, 0, "assumed")
    needed = memory(recipe, shape, tokens, gpus, sharded).total
    if there is None or needed <= there:
        return
    card = Hardware(device, 1.0 if device.startswith("cuda") else None, there, gpus)
    changes = "; ".join(remedies(recipe, shape, card, tokens, sharded))
    raise ModelError(
        f"the run needs {needed / 1e9:.1f} GB on {device}, and {there / 1e9:.1f} GB are there; "
        f"what would fit: {changes}"
    )
