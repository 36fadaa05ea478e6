"""A training run: from pairs to a trained model, in a folder from which it can be resumed.

The folder holds ``recipe.yaml`` and ``run.json`` (the run's inputs), ``reference.npz`` (log-probabilities under the untrained
model), ``lower/`` (output of the untrained layers, if stored), ``log.jsonl`` (a line per logged step and per evaluation),
``checkpoint-…``, and at the end ``development.jsonl`` (the last judgement of every development row) and ``adapter/`` or
``model/``.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
import yaml
from accelerate.utils import gather_object
from pydantic import ValidationError

from mene.curate.pair import Pair, read_pairs
from mene.engines.transformers.loaded import Loaded
from mene.errors import UsageError
from mene.events import Events, begin_work, on_stderr
from mene.files import write_whole
from mene.recipe import Recipe
from mene.runs.parts.storage import joined, make_folder, read_bytes
from mene.train.adapter import start_of, weights_of
from mene.train.examples import Example, Pack, example, packed, sample
from mene.train.forward import Read, is_flexible, tensors
from mene.train.judging import Report
from mene.train.lower import Lower, leave_out, untrained
from mene.train.model import open_model
from mene.train.reference import references
from mene.train.store import Sending, bring, last_checkpoint, one_process, unwritable
from mene.train.trainer import JointTrainer
from mene.weights.cache import sha256


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
        events: called with the progress of the work before the training (``reading``, ``lower layers``, ``reference``).
        stopping: called after each step; True ends the run with a checkpoint to resume from.
        store: a folder or an address (``s3://…``) that checkpoints are copied to. The run goes on from the newest there, where
            that is newer than those in ``output``.

    Returns:
        The folder of the trained adapter or model; None if the run was interrupted.

    Raises:
        UsageError: data are missing or changed, the folder has another recipe, or the base cannot be loaded.
        MeneError: the loss is no longer finite; the batch is saved in the folder.
    """
    transformers.logging.set_verbosity_error()
    # A GGUF file has no config.json; PEFT would warn about it at every checkpoint.
    warnings.filterwarnings("ignore", message="Could not find a config file")
    if store is not None:
        _make_store(store)
        _check_store(inputs_of(recipe, data), store)
    begin(recipe, data, output)
    if store is not None:
        bring(output, store)
    loaded = open_model(recipe, device)
    pairs = sample(read_pairs(data / "train.jsonl"), recipe.train.pairs, recipe.seed)
    held = [p for p in read_pairs(data / "dev.jsonl") if p.mode == "verdict"]
    held = sample(held, recipe.train.development, recipe.seed)
    if not pairs:
        raise UsageError(f"{data / 'train.jsonl'}: no pairs; run `mene curate` again")
    step = begin_work(events, "reading", len(pairs) + len(held))
    longest = loaded.context or 10**9
    examples = _examples(pairs, loaded, longest, step, rejected=recipe.train.beta > 0)
    development = packed(
        _examples(held, loaded, longest, step, all_labels=True), recipe.train.pack_tokens, 0
    )
    count = None if steps is None else steps // recipe.train.epochs * recipe.train.packs
    packs = packed(examples, recipe.train.pack_tokens, recipe.seed, count)
    if recipe.train.bradley_terry and not any(len(pack.compared) for pack in packs):
        raise UsageError(
            f"{data / 'train.jsonl'}: train.bradley_terry needs pairs whose responses are judged alone, and there are none; "
            "them; run `mene curate` again with data.compare: pointwise, or leave train.bradley_terry out"
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
    )
    if store is not None:
        trainer.add_callback(Sending(output, store))
    trainer.train(resume_from_checkpoint=_resumed(output))
    if trainer.state.global_step < trainer.state.max_steps:
        return None
    target = output / ("adapter" if recipe.adapter else "model")
    trainer.save_model(str(target))
    if recipe.adapter is None:
        loaded.tokenizer.save_pretrained(target)
    return target


def begin(recipe: Recipe, data: Path, output: Path) -> None:
    """Record the inputs of a run.

    Raises:
        UsageError: data are missing, or the folder holds a run with another recipe or other data.
    """
    found = inputs_of(recipe, data)
    with one_process(output):  # another would read a file that is half written
        try:
            before = output / "run.json"
            if before.exists() and (other := _other(found, before.read_bytes())):
                raise UsageError(
                    f"{output}: holds a run with another {other}; give another --output, or delete the folder to start again"
                )
            write_whole(before, json.dumps(found, indent=1) + "\n")
            said = yaml.safe_dump(found["recipe"], sort_keys=False)
            (output / "recipe.yaml").write_text(said, "utf-8")
        except OSError as error:
            raise unwritable(output, error) from None


def inputs_of(recipe: Recipe, data: Path) -> dict[str, Any]:
    """Return what a run depends on: its recipe, and the hashes of its data.

    Raises:
        UsageError: data are missing.
    """
    sums = {n: _sum(data / n) for n in ("train.jsonl", "dev.jsonl")}
    if recipe.adapter is not None and recipe.adapter.start:
        sums["start"] = _sum(weights_of(start_of(recipe.adapter.start)))
    return {"recipe": recipe.model_dump(mode="json"), "data": sums}


def _make_store(store: str) -> None:
    """Create the store now, so that it does not fail at the first checkpoint.

    Raises:
        UsageError: it cannot be written.
    """
    try:
        make_folder(store)
    except UsageError as error:
        why = str(error).removesuffix("; use -o")  # the option of a folder of verdicts
        raise UsageError(f"{why}; give another --checkpoints") from None


def _check_store(found: dict[str, Any], store: str) -> None:
    """Check that a store of checkpoints is empty or holds this run's: another one's would be restored and removed.

    Raises:
        UsageError: it holds another run.
    """
    before = read_bytes(joined(store, "run.json"))
    if before is not None and (other := _other(found, before)):
        raise UsageError(
            f"{store}: holds the checkpoints of a run with another {other}; give another --checkpoints, or empty that place"
        )


def _other(found: dict[str, Any], before: bytes) -> str:
    """Return what is other in the recorded inputs of a run, ``recipe`` or ``data``; empty if nothing is."""
    try:
        known = _known(json.loads(before))
    except ValueError:
        known = {}
    return next((what for what in ("recipe", "data") if known.get(what) != found[what]), "")


def _known(begun: dict[str, Any]) -> dict[str, Any]:
    """Return a run's recorded inputs, with defaults for settings that did not exist then."""
    try:
        recipe = Recipe.model_validate(begun.get("recipe")).model_dump(mode="json")
    except (UsageError, ValidationError):  # the old recipe is no longer valid
        return begun
    return {**begun, "recipe": recipe}


def _sum(path: Path) -> str:
    try:
        return sha256(path)
    except OSError:
        raise UsageError(f"{path}: not there; make it with `mene curate RECIPE`") from None


def _examples(
    pairs: list[Pair],
    loaded: Loaded,
    longest: int,
    step: Callable[[], None],
    all_labels: bool = False,
    rejected: bool = True,
) -> list[Example]:
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
        # FlexAttention is compiled for each size, so all packs have the same.
        room = recipe.train.pack_tokens if is_flexible(loaded.model) else 1
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
