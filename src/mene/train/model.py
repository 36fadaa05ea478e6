"""The model to train: a base with its weights, with or without an adapter."""

from __future__ import annotations

from pathlib import Path

import peft
import torch
from peft.tuners.lora import LoraLayer
from transformers import PreTrainedModel

from mene.engines.transformers.loaded import Loaded
from mene.engines.transformers.model import load
from mene.errors import ModelError, UsageError
from mene.judge.open import fetch
from mene.judge.preset import Preset
from mene.recipe import Recipe
from mene.train import gpu
from mene.train.adapter import factors_of, start_of
from mene.train.lower import layers_of

# A layer's matrices, by their names in Llama, Qwen, Mistral and Gemma.
MATRICES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def open_model(recipe: Recipe, device: str | None = None) -> Loaded:
    """Load the base, and add an adapter if the recipe has one.

    Adapter weights are float32, on a base in the recipe's number format; without an adapter all weights are float32.

    Raises:
        UsageError: the recipe names no base, or starts from a missing or unsuitable adapter.
        ModelError: the base is unavailable or cannot be loaded.
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
        # Autocast converts what a matrix needs; PEFT would convert all inputs to float32 first.
        if dtype == "bfloat16":
            for layer in loaded.model.modules():
                if isinstance(layer, LoraLayer):
                    layer.cast_input_dtype_enabled = False
    if not recipe.train.keep_lower:  # stored states have the sizes of their packs
        gpu.prepare(loaded)
    return loaded


def with_adapter(network: PreTrainedModel, recipe: Recipe) -> peft.PeftModel:
    """Return the model with the LoRA adapter that the recipe starts from; a new one's product is zero and changes nothing."""
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
    adapted = peft.get_peft_model(network, config)
    if recipe.adapter.start:
        _start_from(
            start_of(recipe.adapter.start), adapted, recipe.adapter.alpha, _head_size(network)
        )
    for layer in layers_of(adapted)[: round(layers * recipe.adapter.frozen)]:
        layer.requires_grad_(False)
    return adapted


def _head_size(network: PreTrainedModel) -> int:
    config = network.config.get_text_config()
    return getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads


def _start_from(start: Path, adapted: peft.PeftModel, alpha: float, head_size: int) -> None:
    """Load the weights of an adapter into a model's new one."""
    wanted = {k: tuple(v.shape) for k, v in peft.get_peft_model_state_dict(adapted).items()}
    try:
        found = factors_of(start, wanted, head_size)
    except ModelError as error:
        raise UsageError(f"adapter.start: {start}: cannot be read ({error})") from None
    if {k: tuple(v.shape) for k, v in found.weights.items()} != wanted or found.alpha != alpha:
        raise UsageError(
            f"adapter.start: {start}: is of another rank, alpha or share of the layers, or of another base, than "
            "the recipe's"
        )
    weights = {name: torch.tensor(values) for name, values in found.weights.items()}
    peft.set_peft_model_state_dict(adapted, weights)
