"""A run's weights in each format: LoRA adapters for PEFT and llama.cpp, a merged folder, a complete GGUF file."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mene.errors import ModelError
from mene.export.base import Base
from mene.export.finished import Finished
from mene.export.gguf import Factors, adding, replacing, write_lora
from mene.weights.cache import need_space
from mene.weights.convert import rewrite
from mene.weights.peft import CONFIG, WEIGHTS, factor_name, factor_of


def write_weights(form: str, target: Path, done: Finished, base: Base, name: str) -> None:
    """Write one of ``forms.FORMS``.

    Args:
        name: of the judge, for the header of a GGUF file.

    Raises:
        ModelError: the run's weights are damaged, or do not suit the format; or the disk is full.
        OSError: the target is not writable.
    """
    if form == "adapter":
        _write_adapter(target, done, base)
    elif form == "merged":
        _write_merged(target, done, base)
    elif form == "adapter.gguf":
        factors, config = read_lora(done.weights)
        write_lora(target, base.facts.architecture, name, config["lora_alpha"], factors)
    else:
        assert base.gguf is not None
        if done.recipe.adapter:
            factors, config = read_lora(done.weights)
            scale = config["lora_alpha"] / config["r"]
            change = adding(base.facts.architecture, factors, scale)
        else:
            change = replacing(base.facts.architecture, done.weights)
        rewrite(base.gguf, target, form, change=change, name=name)


def read_lora(folder: Path) -> tuple[Factors, dict[str, Any]]:
    """Return an adapter's factors, float32, and its settings.

    Raises:
        ModelError: it contains something other than factors, or a number that is not finite in float16.
    """
    import numpy as np
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        saved = load_file(folder / WEIGHTS)
        config = json.loads((folder / CONFIG).read_text("utf-8"))
    except (SafetensorError, ValueError) as error:
        raise ModelError(f"{folder}: damaged ({error}); run `mene train` again") from None
    factors: dict[str, dict[str, np.ndarray]] = {}
    for key, values in saved.items():
        found = factor_of(key)
        if found is None:
            raise ModelError(f"{folder}: {key} is not a factor of LoRA; give --form merged")
        if not (np.abs(values) < np.finfo(np.float16).max).all():
            raise ModelError(
                f"{folder}: {key} has a number that is not finite; run `mene train` again"
            )
        factors.setdefault(found[0], {})[found[1]] = values
    return {module: (pair["A"], pair["B"]) for module, pair in factors.items()}, config


def _write_adapter(target: Path, done: Finished, base: Base) -> None:
    """Write a PEFT folder in half precision, without this machine's paths."""
    import numpy as np
    from safetensors.numpy import save_file

    factors, config = read_lora(done.weights)
    config["base_model_name_or_path"] = base.name
    config["revision"] = done.recipe.base.revision if done.recipe.base else None
    config["target_modules"] = sorted(config["target_modules"])
    halves = {
        factor_name(module, letter): values.astype(np.float16)
        for module, pair in factors.items()
        for letter, values in zip("AB", pair, strict=True)
    }
    with _folder(target) as part:
        save_file(halves, part / WEIGHTS, metadata={"format": "pt"})
        (part / CONFIG).write_text(json.dumps(config, indent=1) + "\n", "utf-8")


def _write_merged(target: Path, done: Finished, base: Base) -> None:
    """Write a Transformers folder: bfloat16 weights, merged in float32, and the tokeniser."""
    from mene.engines.transformers.model import load

    where, revision, adapter = str(done.weights), None, None
    if done.recipe.adapter and done.recipe.base:
        where, revision, adapter = base.where, done.recipe.base.revision, str(done.weights)
    loaded = load(where, revision, adapter, "float32", "cpu", frozen_head=False)
    model: Any = loaded.model
    import torch
    from transformers.utils import logging

    model.to(torch.bfloat16)
    for key in ("quantization_config", "_pre_quantization_dtype"):
        if hasattr(model.config, key):
            delattr(model.config, key)
    model.config.name_or_path = base.name
    need_space(target.parent, 2 * model.num_parameters(), target.name)
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    with _folder(target) as part:
        model.save_pretrained(part)
        loaded.tokenizer.save_pretrained(part)
    if shown:
        logging.enable_progress_bar()


@contextmanager
def _folder(target: Path) -> Iterator[Path]:
    """Yield a temporary folder, which replaces ``target`` once it is complete."""
    part = target.with_name(f"{target.name}.part")
    if part.is_symlink() or part.is_file():
        part.unlink()
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    try:
        yield part
        shutil.rmtree(target, ignore_errors=True)
        part.replace(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)
