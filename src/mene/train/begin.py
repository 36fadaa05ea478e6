"""The inputs of a training run, recorded in its folder: another run's folder, or store of checkpoints, is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from mene.errors import UsageError
from mene.files import write_whole
from mene.recipe import Recipe
from mene.runs.parts.storage import joined, make_folder, read_bytes
from mene.train.adapter import start_of, weights_of
from mene.train.store import bring, one_process, unwritable
from mene.weights.cache import sha256


def begin(recipe: Recipe, data: Path, output: Path, store: str | None = None) -> None:
    """Record the inputs of a run in its folder, and bring its newest checkpoint there from a store of them.

    Raises:
        UsageError: data are missing, or the folder or the store holds a run with another recipe or other data, or cannot be
            written.
    """
    if store is not None:
        _make_store(store)
    found = inputs_of(recipe, data)
    if store is not None:
        _check_store(found, store)
    _record(found, output)
    if store is not None:
        bring(output, store)


def _record(found: dict[str, Any], output: Path) -> None:
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
