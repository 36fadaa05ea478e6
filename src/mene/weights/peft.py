"""The files of a LoRA adapter as PEFT writes it, and the names of its weights. (The package itself needs PyTorch.)"""

from __future__ import annotations

import re

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
_FACTOR = re.compile(r"base_model\.model\.(.+)\.lora_([AB])\.weight")


def factor_name(module: str, letter: str) -> str:
    """Return the name of a factor (``A`` or ``B``) of a module's product, e.g. of ``model.layers.0.mlp.up_proj``."""
    return f"base_model.model.{module}.lora_{letter}.weight"


def factor_of(name: str) -> tuple[str, str] | None:
    """Return the module and the letter of a factor's name; None where it is no factor of LoRA."""
    found = _FACTOR.fullmatch(name)
    return (found[1], found[2]) if found else None
