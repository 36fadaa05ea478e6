"""The recipe by which ``mene tune`` trains a judge further on a user's own labelled rows."""

from __future__ import annotations

from collections.abc import Sequence

from mene.criterion import load_criterion
from mene.errors import UsageError
from mene.judge.preset import SERVED, Preset, preset_names
from mene.recipe import Adapter, Data, Own, Recipe, Train
from mene.train.adapter import form_of, start_of

# A judge without an adapter gets one of this form.
RANK, ALPHA = 8, 16.0
# The lower half of the layers stays: a step costs a third less, and a few hundred rows teach the upper half enough.
FROZEN = 0.5
LEARNING_RATE = 2.0e-4
LONGEST = 10_000  # characters of a row's texts; memory grows with the longest


def tuning(
    judge: Preset, tables: Sequence[Own], *, epochs: int, held_out: float, seed: int, dtype: str
) -> Recipe:
    """Return a recipe that continues from a judge's adapter, with the prompts that the judge has.

    Args:
        epochs: passes over the rows.
        held_out: share of the groups of rows that are kept apart (``Data.development``).
        dtype: of the computation (``Train.dtype``).

    Raises:
        UsageError: mene has not the judge's weights (a server), or its adapter cannot be read.
    """
    if judge.engine in SERVED:
        raise UsageError(
            f"{judge.name}: its weights are on a server, so they cannot be trained here; give a judge with weights of its "
            "own, such as base, small or nano"
        )
    adapter = Adapter(rank=RANK, alpha=ALPHA, frozen=FROZEN)
    if judge.adapter:
        form = form_of(start_of(judge.adapter))
        adapter = Adapter(
            rank=form.rank,
            alpha=form.alpha,
            upper=form.upper,
            start=judge.name if judge.name in preset_names() else judge.adapter,
            frozen=FROZEN,
        )
    data = Data(
        own=tuple(tables),
        templates={judge.template: 1.0},
        longest=LONGEST,
        system=judge.system,
        compare=judge.compare,
        development=held_out,
    )
    train = Train(
        beta=0,
        bradley_terry=1.0 if judge.compare == "pointwise" and _any_pairs(tables) else 0.0,
        learning_rate=LEARNING_RATE,
        epochs=epochs,
        packs=2,
        evaluate=0,  # the judge as it will be used is measured instead
        checkpoint=10,
        dtype=dtype,  # pyright: ignore[reportArgumentType]
    )
    base = judge.weights.model_copy(update={"convert": None})
    return Recipe(seed=seed, base=base, adapter=adapter, train=train, data=data)


def _any_pairs(tables: Sequence[Own]) -> bool:
    asked = (load_criterion(table.criterion, table.scale) for table in tables)
    return any(one.scale.kind == "pairwise" for one in asked)


def dtype_on(device: str | None) -> str:
    """Return the number format to train in: ``bfloat16``, or ``float32`` on a CPU for which bfloat16 is slow."""
    import torch  # takes seconds

    on_cpu = device == "cpu" or (device is None and not torch.cuda.is_available())
    if on_cpu and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return "float32"
    return "bfloat16"
