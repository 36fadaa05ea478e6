"""A finished training run, read from the folder that `mene train` left."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mene.errors import UsageError
from mene.recipe import Recipe, load_recipe
from mene.weights.cache import sha256


@dataclass(frozen=True, slots=True)
class Finished:
    """A run that has ended.

    Attributes:
        weights: folder of its adapter or model.
        log: lines of ``log.jsonl``.
        data: the report of ``mene curate`` on its data; None where unavailable.
    """

    folder: Path
    recipe: Recipe
    weights: Path
    log: list[dict[str, Any]]
    data: dict[str, Any] | None


def open_run(folder: Path, data: Path | None = None) -> Finished:
    """Read a run's folder, and check that the run has ended.

    Raises:
        UsageError: not a run, or not ended; or ``data`` is not what it was trained on.
    """
    if not (folder / "recipe.yaml").is_file() or not (folder / "run.json").is_file():
        raise UsageError(f"{folder}: no training run here; give the folder that `mene train` made")
    recipe = load_recipe(str(folder / "recipe.yaml"))
    weights = folder / ("adapter" if recipe.adapter else "model")
    if not any(weights.glob("*.safetensors")):
        raise UsageError(
            f"no {weights.name}/ in {folder}: the training has not ended; run `mene train` with the same recipe and "
            "--output again to go on"
        )
    log = folder / "log.jsonl"
    try:
        lines = [json.loads(line) for line in log.read_text("utf-8").splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise UsageError(f"{folder}: log.jsonl cannot be read ({error})") from None
    digest = begun(folder).get("train.jsonl")
    return Finished(folder, recipe, weights, lines, _report(folder, data, digest))


def begun(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of what a run was begun with: ``train.jsonl``, ``dev.jsonl``, and ``start``, an adapter.

    Raises:
        UsageError: its run.json cannot be read.
    """
    try:
        return json.loads((folder / "run.json").read_text("utf-8"))["data"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{folder}: run.json cannot be read ({error})") from None


def _report(run: Path, data: Path | None, digest: str | None) -> dict[str, Any] | None:
    beside = run.resolve().parent / f"{run.resolve().name.removesuffix('-run')}-data"
    folder = data or beside
    try:
        found = json.loads((folder / "report.json").read_text("utf-8"))
        same = sha256(folder / "train.jsonl") == digest
    except (OSError, ValueError) as error:
        if data is None:
            return None
        raise UsageError(f"{data}: not a folder of `mene curate` ({error})") from None
    if data is not None and not same:
        raise UsageError(f"{data}: not the data that {run} was trained on; leave out --data")
    return found if same else None


def development(done: Finished) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """Return the first and the last line of the log with an evaluation on the development rows."""
    lines = [line for line in done.log if "dev_accuracy" in line]
    return (lines[0], lines[-1]) if lines else (None, None)
