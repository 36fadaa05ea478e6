"""The model that a run started from, as export needs to know it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from mene.errors import ModelError
from mene.export.gguf import Architecture, Facts, read_facts
from mene.judge.open import fetch
from mene.judge.preset import Preset
from mene.recipe import Recipe

# Architectures that Transformers and GGUF call by different names.
_OF_MODEL_TYPE = {"mistral": "llama", "gemma3_text": "gemma3"}


class Base(NamedTuple):
    """The model that a run started from.

    Attributes:
        where: what ``engines.transformers.model.load`` takes.
        name: hub id, or name of the file or folder; never a path.
        gguf: the file, where the base is one.
    """

    where: str
    name: str
    gguf: Path | None
    facts: Facts


def read_base(recipe: Recipe) -> Base:
    """Download the base model if needed, and return the facts that export needs.

    Raises:
        UsageError, ModelError: it is not available.
    """
    weights = recipe.base
    assert weights is not None  # `mene train` requires it
    path = fetch(Preset(engine="transformers", weights=weights))
    where = str(path or weights.hub or "")
    if path is not None and path.suffix == ".gguf":
        return Base(where, path.name, path, read_facts(path))
    import transformers

    try:
        config = transformers.AutoConfig.from_pretrained(where, revision=weights.revision)
    except (OSError, ValueError) as error:
        raise ModelError(f"{where}: cannot be loaded ({str(error).splitlines()[0]})") from None
    text: Any = config.get_text_config()
    heads = text.num_attention_heads
    kind = str(text.model_type)
    arch = Architecture(
        _OF_MODEL_TYPE.get(kind, kind),
        text.num_hidden_layers,
        heads,
        getattr(text, "num_key_value_heads", None) or heads,
    )
    facts = Facts(arch, getattr(text, "max_position_embeddings", 8192))
    return Base(where, str(weights.hub or Path(where).name), None, facts)
