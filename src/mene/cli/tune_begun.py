"""What a folder of ``mene tune`` is made of, so that a stopped run goes on, and nothing else is written over."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mene.errors import UsageError
from mene.files import make_folder, write_whole
from mene.judge.preset import Preset
from mene.recipe import Recipe
from mene.weights.cache import sha256

BEGUN = "tune.json"  # a folder without it is somebody else's


def begin(recipe: Recipe, target: Path) -> None:
    """Record in the judge's folder what it is made of.

    Raises:
        UsageError: the folder holds something else.
    """
    begun = target / BEGUN
    if target.exists() and not begun.is_file() and (not target.is_dir() or any(target.iterdir())):
        raise UsageError(
            f"{target}: is there, and was not made by mene tune; give another folder with -o"
        )
    make_folder(target)
    made_of = _made_of(recipe)
    try:
        known = json.loads(begun.read_text("utf-8")) if begun.is_file() else made_of
    except ValueError:
        known = {}
    if known != made_of and (target / "run").exists():
        raise UsageError(
            f"{target}: holds a judge that was tuned on other rows or with other options; give another folder with -o, or "
            "delete it to start again"
        )
    write_whole(begun, json.dumps(made_of, indent=1) + "\n")


def _made_of(recipe: Recipe) -> dict[str, Any]:
    [table] = recipe.data.own
    return {"rows": sha256(Path(table.rows)), "recipe": recipe.model_dump(mode="json")}


def check_start(judge: Preset, recipe: Recipe) -> None:
    """Check that a judge which was tuned on these rows before keeps the same ones apart.

    Raises:
        UsageError: it was trained on rows that would be held out now.
    """
    begun = Path(judge.adapter or "").parent / BEGUN
    if not judge.adapter or not begun.is_file():
        return
    try:
        known = json.loads(begun.read_text("utf-8"))
        draw = known["recipe"]["seed"], known["recipe"]["data"]["development"]
    except (ValueError, KeyError, TypeError):
        return
    if known.get("rows") == _made_of(recipe)["rows"] and draw != (
        recipe.seed,
        recipe.data.development,
    ):
        raise UsageError(
            f"{judge.name}: was tuned on rows of this file that would be held out now; give --seed {draw[0]} --held-out "
            f"{draw[1]} as then, or rows that it has not seen"
        )
