"""What `mene train` leaves, made without training: an adapter of random numbers, a log, a recipe."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from mene.judge.preset import load_preset
from mene.recipe import Recipe

LAYERS = range(2, 4)  # that have an adapter: the upper half
SHAPES = {  # (out, in) of the model's matrices
    "self_attn.q_proj": (64, 64),
    "self_attn.k_proj": (32, 64),
    "self_attn.v_proj": (32, 64),
    "self_attn.o_proj": (64, 64),
    "mlp.gate_proj": (96, 64),
    "mlp.up_proj": (96, 64),
    "mlp.down_proj": (64, 96),
}
LINE = {"dev_mean_of_sets": 0.5, "dev_ece": 0.1, "dev_log_loss": 0.7, "dev_rows": 100}
LOG = [
    {"step": 0, "dev_accuracy": 0.5, **LINE},
    {"step": 5, "loss": 1.0},
    {"step": 9, "dev_accuracy": 0.625, **LINE},
]


def make_run(folder: Path, **changes: Any) -> Path:
    """What `mene train` leaves, without the weights."""
    data = {"sources": {"anli_dev": 300, "bump": 80}, "templates": {"prefix": 5, "selene": 1}}
    base = load_preset("nano").weights.model_copy(update={"convert": None}).model_dump()
    adapter = {"rank": 4, "alpha": 8, "upper": 0.5}
    recipe = Recipe.model_validate({"base": base, "adapter": adapter, "data": data, **changes})
    folder.mkdir(parents=True)
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe.model_dump(mode="json")))
    (folder / "run.json").write_text(json.dumps({"data": {"train.jsonl": "0"}}))
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in LOG))
    return folder


def add_adapter(run: Path, size: float = 1.0) -> None:
    """A random adapter, neither of whose factors is zero."""
    from safetensors.numpy import save_file

    rng = np.random.default_rng(1)
    tensors = {}
    for layer in LAYERS:
        for module, (out, inner) in SHAPES.items():
            key = f"base_model.model.model.layers.{layer}.{module}"
            # Queries and keys get more: the order of their rows must matter.
            strength = size * (0.6 if module[-6] in "qk" else 0.12)
            a, b = rng.standard_normal((4, inner)) / inner**0.5, rng.standard_normal((out, 4))
            tensors[f"{key}.lora_A.weight"] = a.astype(np.float32)
            tensors[f"{key}.lora_B.weight"] = (b * strength).astype(np.float32)
    (run / "adapter").mkdir()
    save_file(tensors, run / "adapter" / "adapter_model.safetensors")
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": "/home/someone/models",
        "r": 4,
        "lora_alpha": 8,
        "target_modules": [module.rpartition(".")[2] for module in SHAPES],
        "layers_to_transform": list(LAYERS),
    }
    (run / "adapter" / "adapter_config.json").write_text(json.dumps(config))
