"""A forecast of a training run: steps, memory, computation, hours.

Rules of thumb from the literature, with this trainer's constants (those of memory are in ``memory.py``):

* Computation (Kaplan et al. 2020, arXiv 2001.08361, section 2.1): forward 2 FLOPs per matrix weight and token; backward the
  same again for the activations and once more for the weights. So 6 N T where all weights are trained; with an adapter 2 N T
  forward, 2 N T backward through the layers that have one, and 6 A T for the adapter. N counts matrices, not the embedding.
* With ``train.keep_lower``, the layers below the adapter are computed once, and only those above at each reading.
* Attention: 4 d per layer and pair of nodes, d = heads x head width. Kaplan et al. halve it for causal masks; a tree's mask is
  dense, and nothing is skipped.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import inf
from typing import Any

from mene.recipe import Recipe
from mene.train.plan.hardware import Hardware
from mene.train.plan.memory import USABLE, Memory, memory, remedies, trained_weights, upper_layers
from mene.train.plan.shape import Shape
from mene.train.plan.tokens import Tokens
from mene.weights.source import Weights

UTILISATION = 0.4  # of the peak; large models reach 0.4 to 0.55 (Korthikanti et al. 2022, table 5)


@dataclass(frozen=True)
class Plan:
    """The forecast of a run.

    Attributes:
        flops: of each work, done once: ``training``, ``reference``, ``judging``, and ``lower`` (``train.keep_lower``).
        hours: the same keys, without loading; None where the speed is unknown. GPUs share the packs of the training, of the
            reference and of the lower layers; each judges all development rows.
        remedies: changes with which it fits, one per line; empty if it fits.
    """

    base: str
    parameters: int
    trained: int
    hardware: Hardware
    sharded: bool
    tokens: Tokens
    epochs: int
    steps: int
    memory: Memory
    fits: bool
    flops: dict[str, float]
    hours: dict[str, float] | None
    remedies: tuple[str, ...]


def plan(recipe: Recipe, shape: Shape, hardware: Hardware, tokens: Tokens) -> Plan:
    """Forecast a run. Weights are sharded where they do not fit into each of several GPUs.

    A run that does not fit is no error: ``fits`` is False and ``remedies`` says what to change.
    """
    limit = hardware.memory * USABLE
    alone = memory(recipe, shape, tokens, hardware.gpus)
    sharded = hardware.gpus > 1 and alone.total > limit
    needed = memory(recipe, shape, tokens, hardware.gpus, True) if sharded else alone
    fits = needed.total <= limit
    flops = _flops(recipe, shape, tokens)
    seen = tokens.tree * recipe.train.epochs
    speed = hardware.flops or (hardware.tflops or 0) * 1e12 * UTILISATION
    if hardware.tokens_per_second and seen:
        speed = flops["training"] / seen * hardware.tokens_per_second
    share = -(-tokens.packs // hardware.gpus) / max(
        1, tokens.packs
    )  # of the packs, in the GPU that has most
    shared = {"training": share, "reference": share, "lower": share}
    hours = {k: v * shared.get(k, 1.0) / speed / 3600 for k, v in flops.items()} if speed else None
    base = recipe.base or Weights()
    return Plan(
        base=base.hub or (base.wheel or "").partition("==")[0] or base.path or "",
        parameters=shape.parameters,
        trained=trained_weights(recipe, shape),
        hardware=hardware,
        sharded=sharded,
        tokens=tokens,
        epochs=recipe.train.epochs,
        steps=recipe.train.epochs * -(-tokens.packs // _packs_a_step(recipe, hardware.gpus)),
        memory=needed,
        fits=fits,
        flops=flops,
        hours=hours,
        remedies=() if fits else tuple(remedies(recipe, shape, hardware, tokens, sharded)),
    )


def _packs_a_step(recipe: Recipe, processes: int) -> int:
    """Return the packs of a step, as the trainer has it: the same number in each process, and at least one."""
    return max(1, recipe.train.packs // processes) * processes


def _flops(recipe: Recipe, shape: Shape, tokens: Tokens) -> dict[str, float]:
    head = 2 * shape.vocabulary * shape.hidden * tokens.logits
    layer = 2 * shape.layer * tokens.tree
    attention = 4 * shape.width * tokens.squares
    upper = upper_layers(recipe, shape)
    lower = (shape.layers - upper) * (layer + attention)
    forward = upper * (layer + attention) + head + (0 if recipe.train.keep_lower else lower)
    if recipe.adapter is None:
        once = 3 * forward
    else:
        adapter = 2 * trained_weights(recipe, shape) * tokens.tree
        forward += adapter
        once = forward + upper * (layer + 2 * attention) + head + 2 * adapter
    judged = min(recipe.train.development, tokens.pairs) / max(1, tokens.pairs)
    return {
        "training": once * recipe.train.epochs,
        "reference": forward if recipe.train.beta else 0.0,
        "judging": forward * (recipe.train.evaluate + 1) * judged if recipe.train.evaluate else 0.0,
        "lower": lower * (1 + judged) if recipe.train.keep_lower else 0.0,
    }


def to_dict(plan: Plan) -> dict[str, Any]:
    """Return the data for ``--json``, with ``memory.total`` and the assumed utilisation."""
    hard = plan.hardware
    return {
        **asdict(plan),
        "hardware": {**asdict(hard), "memory": None if hard.memory == inf else hard.memory},
        "memory": {**asdict(plan.memory), "total": plan.memory.total},
        "utilisation": UTILISATION,
    }
