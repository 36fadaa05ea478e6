"""What tests of whole runs train: a model small enough to take no time."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

# What trains imports these at the top, and so do the tests of it.
if not all(map(find_spec, ("torch", "transformers", "peft", "accelerate"))):
    collect_ignore = ["test_ablate.py", "test_loss.py", "test_run.py", "test_sharded.py"]


@pytest.fixture(scope="session")
def base(small_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model of random weights with the tokeniser of the real one."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("base")
    tokenizer = transformers.AutoTokenizer.from_pretrained(
        str(small_model.parent), gguf_file=small_model.name
    )
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
    )
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
