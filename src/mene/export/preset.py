"""``judge.yaml``: a preset for the exported judge."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml

from mene.export.base import Base
from mene.export.finished import Finished, development
from mene.export.forms import Files, whole_gguf
from mene.judge.preset import load_preset, preset_names
from mene.weights.source import Weights


def preset_yaml(done: Finished, base: Base, name: str, files: Files) -> str:
    """Return ``judge.yaml``, with the exported format that runs fastest.

    Exported files are named relative to it. Settings come from a built-in judge with the same base, if there is one.
    """

    def bare(weights: Weights) -> Weights:
        return weights.model_copy(update={"convert": None})

    weights = done.recipe.base
    assert weights is not None
    kin = [p for p in map(load_preset, preset_names()) if bare(p.weights) == bare(weights)]
    place = weights.model_dump(exclude_defaults=True)
    if weights.path:
        place["path"] = str(Path(os.path.expanduser(weights.path)).resolve())
    shown = {form: path.name for form, path in files.items()}
    whole = whole_gguf(files)
    if whole:
        found: dict[str, Any] = {"engine": "llamacpp", "weights": {"path": whole.name}}
    elif base.gguf and "adapter.gguf" in files:
        engine = kin[0].engine if kin else "llamacpp"
        form = kin[0].weights.convert if kin and kin[0].weights else "Q8_0"
        converted = {"convert": form} if form else {}
        found = {
            "engine": engine,
            "weights": place | converted,
            "adapter": shown["adapter.gguf"],
        }
    elif "merged" in files or not done.recipe.adapter:
        folder = shown.get("merged") or str(done.weights.resolve())
        found = {"engine": "transformers", "weights": {"path": folder}}
    else:
        adapter = shown.get("adapter") or str(done.weights.resolve())
        found = {"engine": "transformers", "weights": place, "adapter": adapter}
    if kin:
        found["critique_tokens"] = kin[0].critique_tokens
    first, last = development(done)
    about = f"{base.name}, trained with mene."
    if first and last:
        about += (
            f" On {last['dev_rows']} development rows it is right on {last['dev_accuracy']:.0%}; before training "
            f"{first['dev_accuracy']:.0%}."
        )
    shares = done.recipe.data.templates
    template = max(shares, key=lambda one: shares[one])
    judge = {"name": name, "about": about, **found, "template": template}
    if not done.recipe.data.argued:
        judge |= {"mode": "verdict", "writes": False}  # it was not trained to reason
    if "pointwise" in (done.recipe.data.compare, *done.recipe.data.derive):
        judge["compare"] = "pointwise"  # as in training
    if done.recipe.data.system is not None:
        judge["system"] = done.recipe.data.system
    return yaml.safe_dump(judge, sort_keys=False, allow_unicode=True, width=100)
