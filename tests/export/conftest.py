"""A small base model, for runs that are exported."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny import mini_gguf, tiny_gguf


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the form and the number format of the model that nano started from."""
    folder = tmp_path_factory.mktemp("base")
    path, tokens = folder / "tiny-base.Q4_1.gguf", mini_gguf(folder / "tokens.gguf")
    tiny_gguf(path, "Llama", tokens, "Q4_1", num_hidden_layers=4, tie_word_embeddings=True)
    return path
