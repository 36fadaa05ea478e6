"""The model that is trained: a base with its weights, and an adapter or none."""

from __future__ import annotations

from typing import Any

from mene.engines.transformers_model import Loaded, load
from mene.errors import UsageError
from mene.preset import Preset, fetch
from mene.recipe import Recipe

# The matrices of a layer, by the names that Llama, Qwen, Mistral and Gemma have for them.
MATRICES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def open_model(recipe: Recipe, device: str | None = None) -> Loaded:
    """Load the base, and give it a fresh adapter where the recipe has one.

    An adapter is kept in float32 on a base in the recipe's number format; without one all weights are float32.

    Raises:
        UsageError: the recipe names no base.
        ModelError: the base cannot be had or loaded.
    """
    if recipe.base is None:
        raise UsageError("the recipe has no base: name the model to train; see recipes/nano.yaml")
    preset = Preset(engine="transformers", weights=recipe.base)
    where = str(fetch(preset) or recipe.base.hub or "")
    dtype = recipe.train.dtype if recipe.adapter else "float32"
    frozen = recipe.adapter is not None
    loaded = load(where, recipe.base.revision, None, dtype, device, frozen_head=frozen)
    if recipe.adapter is not None:
        loaded.model = with_adapter(loaded.model, recipe)
    return loaded


def with_adapter(network: Any, recipe: Recipe) -> Any:
    """The model with a fresh LoRA adapter, whose product is zero: it answers as before."""
    import peft
    import torch

    assert recipe.adapter is not None
    torch.manual_seed(recipe.seed)
    layers = network.config.get_text_config().num_hidden_layers
    first = layers - max(1, round(layers * recipe.adapter.upper))
    config = peft.LoraConfig(
        r=recipe.adapter.rank,
        lora_alpha=recipe.adapter.alpha,  # pyright: ignore[reportArgumentType]
        lora_dropout=recipe.adapter.dropout,
        target_modules=list(MATRICES),
        layers_to_transform=list(range(first, layers)),
        task_type="CAUSAL_LM",
    )
    return peft.get_peft_model(network, config)
