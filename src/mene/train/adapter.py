"""The files of a LoRA adapter, by PEFT's names, and the adapter that a recipe starts from."""

from __future__ import annotations

import os
from pathlib import Path

from mene.errors import UsageError
from mene.judge.preset import load_preset, preset_names

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"


def start_folder(start: str) -> Path:
    """Return the folder of the adapter that a recipe starts from: ``adapter.start``.

    Raises:
        UsageError: there is no such adapter.
    """
    # Pathlib's expanduser raises RuntimeError for an unknown user.
    folder = Path(os.path.expanduser(start))
    if not folder.exists() and start in preset_names():
        folder = Path(load_preset(start).adapter or "")
    for name in (WEIGHTS, CONFIG):
        if not (folder / name).is_file():
            raise UsageError(
                f"adapter.start: {start}: no {name} there; give the `adapter` folder of a run or of an export, "
                "or nano-torch"
            )
    return folder
