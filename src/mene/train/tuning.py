"""The recipe by which ``mene tune`` trains a judge further on a user's own labelled rows, and the judge that comes of it."""

from __future__ import annotations

from mene.criterion import Criterion
from mene.errors import UsageError
from mene.events import Events, on_stderr
from mene.judge.open import HUB_CLIENTS, fetch
from mene.judge.preset import SERVED, Preset, load_preset, preset_names
from mene.recipe import Adapter, Data, Own, Recipe, Train
from mene.train.adapter import form_of, start_of
from mene.weights.source import Weights

# A judge without an adapter gets one of this form.
RANK, ALPHA = 8, 16.0
# The lower half of the layers stays: a step costs a third less, and a few hundred rows teach the upper half enough.
FROZEN = 0.5
LEARNING_RATE = 2.0e-4


def check_tunable(judge: Preset) -> None:
    """Check that a judge can be trained, and asked afterwards as before.

    Raises:
        UsageError: mene has not its weights, or it judges claim by claim.
    """
    if judge.engine in SERVED:
        raise UsageError(
            f"{judge.name}: its weights are on a server, so they cannot be trained here; give a judge with weights of its "
            "own, such as base, small or nano"
        )
    if judge.claims:
        raise UsageError(
            f"{judge.name}: judges claim by claim, but labels are of whole responses; set claims: false in its file"
        )


def tuning(
    judge: Preset,
    table: Own,
    criterion: Criterion,
    *,
    epochs: int,
    held_out: float,
    longest: int,
    seed: int,
    dtype: str,
    events: Events = on_stderr,
) -> Recipe:
    """Return a recipe that continues from a judge's adapter, with the prompts that the judge has.

    Args:
        criterion: of the table.
        epochs: passes over the rows.
        held_out: share of the groups of rows that are kept apart (``Data.development``).
        longest: maximum number of characters of a row's texts.
        dtype: of the computation (``Train.dtype``).
        events: as for ``open.fetch``, since a file on the hub is downloaded.

    Raises:
        UsageError, ModelError: the judge's weights or its adapter cannot be had or read.
    """
    adapter = Adapter(rank=RANK, alpha=ALPHA, frozen=FROZEN)
    if judge.adapter:
        start = _short(judge)
        form = form_of(start_of(start))
        adapter = Adapter(
            rank=form.rank, alpha=form.alpha, upper=form.upper, start=start, frozen=FROZEN
        )
    data = Data(
        own=(table,),
        templates={judge.template: 1.0},
        longest=longest,
        system=judge.system,
        compare=judge.compare,
        development=held_out,
    )
    alone = criterion.scale.kind == "pairwise" and judge.compare == "pointwise"
    train = Train(
        beta=0,
        bradley_terry=1.0 if alone else 0.0,
        learning_rate=LEARNING_RATE,
        epochs=epochs,
        packs=2,
        evaluate=0,  # the judge as it will be used is measured instead
        checkpoint=10,
        dtype=dtype,  # pyright: ignore[reportArgumentType]
    )
    return Recipe(seed=seed, base=_base(judge, events), adapter=adapter, train=train, data=data)


def _short(judge: Preset) -> str:
    """Return the name of the built-in judge whose adapter it is, else the adapter's path."""
    own = judge.adapter or ""
    known = judge.name in preset_names() and load_preset(judge.name).adapter == own
    return judge.name if known else own


def _base(judge: Preset, events: Events) -> Weights:
    weights = judge.weights.model_copy(update={"convert": None})
    if weights.hub and judge.engine not in HUB_CLIENTS:
        # Training would take the repository for one of Transformers; here it is known that a GGUF file of it is meant.
        file = fetch(judge.model_copy(update={"weights": weights}), events)
        return Weights(path=str(file))
    return weights


def tuned_preset(
    judge: Preset, name: str, adapter: str, template: str, criterion: Criterion
) -> Preset:
    """Return the judge with another adapter for labels: asked as before.

    Reasons after a label are those of the judge's ``explainer``, which argues for whatever label it is given; without one there
    are none. Critiques before a label are not for a judge that learned labels.

    Args:
        adapter, template: their files beside the preset's; ``template`` may be a built-in one.
        criterion: that it was trained for.
    """
    asked = f'"{criterion.question}"' if criterion.in_words else criterion.name
    about = f"{judge.name}, trained further on labels of {asked} ({criterion.scale})"
    licensed = f" {judge.warning}" if judge.license != "Apache-2.0" else ""
    return judge.model_copy(
        update={
            "name": name,
            "about": f"{about}.",
            # A warning about the licence stays; one about how good the judge was does not apply.
            "warning": f"{name} is {about}; its README.md says what that brought.{licensed}",
            "adapter": adapter,
            "template": template,
            "mode": "verdict",
            "writes": False,
            "explain": judge.explain if judge.explainer else "none",
            "samples": 1,
            "temperature": 0.0,
            "calibrations": (),
            "abstain": False,
            "measured": (criterion.name,),
        }
    )


def dtype_on(device: str | None) -> str:
    """Return the number format to train in: ``bfloat16``, or ``float32`` on a CPU for which bfloat16 is slow."""
    import torch  # takes seconds

    on_cpu = device == "cpu" or (device is None and not torch.cuda.is_available())
    if not on_cpu:
        return "bfloat16"
    dnn = torch.backends.mkldnn
    return (
        "bfloat16"
        if dnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
        else "float32"
    )
