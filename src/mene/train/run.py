"""A training run: from pairs to a trained model, in a folder from which it can be resumed.

The folder holds ``recipe.yaml`` and ``run.json`` (the run's inputs, see ``begin.py``), ``reference.npz`` (log-probabilities
under the untrained model), ``lower/`` (output of the untrained layers, if stored), ``log.jsonl`` (a line per logged step and
per evaluation), ``checkpoint-…``, and at the end ``development.jsonl`` (the last judgement of every development row) and
``adapter/`` or ``model/``.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
import transformers
from accelerate.utils import gather_object

from mene.curate.pair import Pair, read_pairs
from mene.engines.transformers.loaded import Loaded
from mene.errors import UsageError
from mene.events import Events, Warn, begin_work, on_stderr
from mene.recipe import Recipe
from mene.train.begin import begin
from mene.train.examples import Example, Pack, example, packed, sample
from mene.train.forward import Read, is_flexible, tensors
from mene.train.judging import Report, Stopped
from mene.train.lower import Lower, leave_out, untrained
from mene.train.model import open_model
from mene.train.reference import references
from mene.train.store import Sending, last_checkpoint, one_training
from mene.train.trainer import JointTrainer

# On a CPU, packs are padded to a multiple of this many nodes: memory of few different sizes is used again and again.
ROOM = 64


def train(
    recipe: Recipe,
    data: Path,
    output: Path,
    *,
    device: str | None = None,
    steps: int | None = None,
    report: Report = lambda line: None,
    events: Events = on_stderr,
    stopping: Callable[[], bool] = lambda: False,
    store: str | None = None,
) -> Path | None:
    """Train according to a recipe.

    Args:
        data: folder with ``train.jsonl`` and ``dev.jsonl``, as made by ``mene curate``.
        output: the run's folder. An interrupted run continues from its last checkpoint.
        steps: total number of steps: the pairs are divided into the packs for that many. By default, packs have about
            ``train.pack_tokens`` tokens, and their number follows.
        report: called with every line of the log.
        events: called with the progress of the work beside the steps (``reading``, ``lower layers``, ``reference``, ``judging``).
        stopping: called after each step, and between the packs of an evaluation; True ends the run with a checkpoint to resume
            from.
        store: a folder or an address (``s3://…``) that checkpoints are copied to. The run goes on from the newest there, where
            that is newer than those in ``output``.

    Returns:
        The folder of the trained adapter or model; None if the run was interrupted.

    Raises:
        UsageError: data are missing or changed, the folder has another recipe or is in use, or the base cannot be loaded.
        MeneError: the loss is no longer finite; the batch is saved in the folder.
    """
    transformers.logging.set_verbosity_error()
    # A GGUF file has no config.json; PEFT would warn about it at every checkpoint.
    warnings.filterwarnings("ignore", message="Could not find a config file")
    with one_training(output):
        begin(recipe, data, output, store)
        return _run(recipe, data, output, device, steps, report, events, stopping, store)


def _run(
    recipe: Recipe,
    data: Path,
    output: Path,
    device: str | None,
    steps: int | None,
    report: Report,
    events: Events,
    stopping: Callable[[], bool],
    store: str | None,
) -> Path | None:
    loaded = open_model(recipe, device)
    examples, judged = _read(recipe, data, loaded, events)
    development = packed(judged, recipe.train.pack_tokens, 0)
    count = None if steps is None else steps // recipe.train.epochs * recipe.train.packs
    packs = packed(examples, recipe.train.pack_tokens, recipe.seed, count)
    if recipe.train.bradley_terry and not any(len(pack.compared) for pack in packs):
        raise UsageError(
            f"{data / 'train.jsonl'}: train.bradley_terry needs pairs whose responses are judged alone, and there are none; "
            "run `mene curate` again with data.compare: pointwise, or leave train.bradley_terry out"
        )
    autocast = recipe.train.dtype == "bfloat16"
    with torch.autocast(loaded.device.split(":")[0], torch.bfloat16, enabled=autocast):
        read = _lower(loaded, packs + development, output, recipe, events, stopping)
        if read is None:
            return None
        known = (
            references(loaded.model, packs, output, events, read)
            if recipe.train.beta
            else [np.zeros(len(pack.lengths), np.float32) for pack in packs]
        )
    trainer = JointTrainer(
        loaded.model,
        recipe,
        packs,
        known,
        development,
        output,
        loaded.device,
        report,
        stopping,
        read,
        events,
    )
    if store is not None:
        trainer.add_callback(Sending(output, store))
    try:
        trainer.train(resume_from_checkpoint=_resumed(output))
    except Stopped:
        return None
    if trainer.state.global_step < trainer.state.max_steps:
        return None
    target = output / ("adapter" if recipe.adapter else "model")
    trainer.save_model(str(target))
    if recipe.adapter is None:
        loaded.tokenizer.save_pretrained(target)
    return target


def _read(
    recipe: Recipe, data: Path, loaded: Loaded, events: Events
) -> tuple[list[Example], list[Example]]:
    """Return the pairs to train on, and the development rows, as tokens.

    Raises:
        UsageError: there is no pair to train on.
    """
    pairs = sample(read_pairs(data / "train.jsonl"), recipe.train.pairs, recipe.seed)
    held = read_pairs(data / "dev.jsonl") if recipe.train.evaluate else []
    held = [pair for pair in held if pair.mode == "verdict"]
    held = sample(held, recipe.train.development, recipe.seed)
    if not pairs:
        raise UsageError(f"{data / 'train.jsonl'}: no pairs; run `mene curate` again")
    step = begin_work(events, "reading", len(pairs) + len(held))
    examples = _examples(pairs, loaded, step, rejected=recipe.train.beta > 0)
    judged = _examples(held, loaded, step, all_labels=True)
    if longer := len(pairs) + len(held) - len(examples) - len(judged):
        told = f"{longer:,} pairs are longer than the {loaded.context:,} tokens that the model can read"
        if not examples:
            raise UsageError(
                f"{data / 'train.jsonl'}: {told}, and none is left; lower data.longest"
            )
        events(Warn(f"{told}; they are left out"))
    return examples, judged


def _examples(
    pairs: list[Pair],
    loaded: Loaded,
    step: Callable[[], None],
    all_labels: bool = False,
    rejected: bool = True,
) -> list[Example]:
    """Return the pairs as tokens, without those that are longer than the model's context."""
    longest = loaded.context or 10**9
    found = []
    for pair in pairs:
        one = example(pair, loaded, all_labels=all_labels, rejected=rejected)
        if len(one.prompt) + max(map(len, one.completions)) <= longest:
            found.append(one)
        step()
    return found


def _lower(
    loaded: Loaded,
    packs: list[Pack],
    output: Path,
    recipe: Recipe,
    events: Events,
    stopping: Callable[[], bool],
) -> Read | None:
    """Return how packs are read: from stored states if the recipe says so. None if computing them was interrupted."""
    if not recipe.train.keep_lower:
        room = ROOM if loaded.device == "cpu" else 1
        if is_flexible(loaded.model):  # compiled for each size, so all packs have the same
            room = recipe.train.pack_tokens
        return partial(tensors, room=room)
    lower = Lower(output / "lower", loaded.identity, untrained(loaded.model))
    if not lower.layers:
        raise UsageError(
            "train.keep_lower: every layer is trained, so there is none to cache; set adapter.upper below 1, or leave it out"
        )
    step = begin_work(events, "lower layers", len(packs))
    if not lower.complete(loaded.model, packs, step, stopping):
        return None
    leave_out(loaded.model, lower, packs[0])
    return lower.tensors


def _resumed(output: Path) -> str | None:
    """Return the checkpoint to go on from, or None.

    Raises:
        UsageError: the processes have different ones: machines that share no folder, and only the first writes checkpoints.
    """
    found = last_checkpoint(output)
    names = sorted(set(gather_object(["none" if found is None else found.name])))
    if len(names) > 1:
        raise UsageError(
            f"{output}: the machines would go on from different checkpoints ({', '.join(names)}); copy the newest to all of "
            "them, and give --checkpoints, or an --output that they share"
        )
    return None if found is None else str(found)
