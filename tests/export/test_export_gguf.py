"""Names and orders of weights in GGUF; trained ones put there."""

from __future__ import annotations

import numpy as np
import pytest

from mene.errors import ModelError, UsageError
from mene.export.gguf import (
    Architecture,
    adding,
    as_gguf,
    check_architecture,
    gguf_name,
    permute,
    replacing,
    write_lora,
)
from mene.weights.gguf_header import check_adapter

LLAMA = Architecture("llama", 2, 4, 2)


def test_a_planted_link_is_not_written_through(tmp_path) -> None:
    precious = tmp_path / "precious.txt"
    precious.write_text("precious")
    (tmp_path / "a.gguf.part").symlink_to(precious)
    module = "model.layers.0.self_attn.v_proj"
    rng = np.random.default_rng(0)
    factors = {module: (rng.standard_normal((2, 6)), rng.standard_normal((32, 2)))}
    write_lora(tmp_path / "a.gguf", LLAMA, "toy", 4.0, factors)
    check_adapter(tmp_path / "a.gguf")
    assert precious.read_text() == "precious"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.gguf", "precious.txt"]


def test_trained_weights_that_are_damaged_are_named(tmp_path) -> None:
    from mene.export.weights import read_lora

    for name in ("model.safetensors", "adapter_model.safetensors"):
        (tmp_path / name).write_bytes(b"\xff" * 8 + b"{}")
    with pytest.raises(ModelError, match=r"safetensors: damaged \(.*run `mene train` again"):
        replacing(LLAMA, tmp_path)
    with pytest.raises(ModelError, match=r"damaged \(.*run `mene train` again"):
        read_lora(tmp_path)


def test_permutation_undoes_what_transformers_does() -> None:
    ggml = pytest.importorskip("transformers.modeling_gguf_pytorch_utils")
    back = ggml.LlamaTensorProcessor._reverse_permute_weights
    weight = np.arange(32 * 3, dtype=np.float32).reshape(32, 3)
    np.testing.assert_array_equal(back(None, permute(weight, 4), 4, 4), weight)
    np.testing.assert_array_equal(back(None, permute(weight, 2), 4, 2), weight)
    # Of each head of 8 rows, row 0 stands beside row 4.
    assert permute(weight, 4)[:4, 0].tolist() == [0, 12, 3, 15]


def test_order_of_rows_by_architecture() -> None:
    rows = np.arange(32, dtype=np.float32).reshape(32, 1)
    query, key, value = (f"model.layers.0.self_attn.{letter}_proj" for letter in "qkv")
    np.testing.assert_array_equal(as_gguf(LLAMA, query, rows), permute(rows, 4))
    np.testing.assert_array_equal(as_gguf(LLAMA, key, rows), permute(rows, 2))
    np.testing.assert_array_equal(as_gguf(LLAMA, value, rows), rows)
    for name in ("qwen2", "gemma3"):
        arch = Architecture(name, 2, 4, 2)
        np.testing.assert_array_equal(as_gguf(arch, query, rows), rows)
    norm = "model.layers.0.input_layernorm"
    np.testing.assert_array_equal(as_gguf(Architecture("gemma3", 2, 4, 2), norm, rows), rows + 1)
    np.testing.assert_array_equal(as_gguf(LLAMA, norm, rows), rows)


def test_names() -> None:
    assert gguf_name(LLAMA, "model.layers.1.mlp.down_proj") == "blk.1.ffn_down.weight"
    assert gguf_name(LLAMA, "model.embed_tokens") == "token_embd.weight"
    gemma = Architecture("gemma3", 2, 4, 2)
    nested = "model.language_model.layers.1.post_attention_layernorm"
    assert gguf_name(gemma, nested) == "blk.1.post_attention_norm.weight"
    with pytest.raises(ModelError, match="no name for model.vision"):
        gguf_name(gemma, "model.vision.layers.0.q_proj")
    with pytest.raises(UsageError, match="architecture mamba"):
        check_architecture(Architecture("mamba", 2, 4, 2))


def test_adapter_is_added_in_the_order_of_the_file() -> None:
    """Adding, then reordering the whole weight, is the same as adding to the reordered one."""
    rng = np.random.default_rng(0)
    module = "model.layers.0.self_attn.q_proj"
    weight, a, b = (rng.standard_normal(s).astype(np.float32) for s in ((32, 6), (2, 6), (32, 2)))
    change = adding(LLAMA, {module: (a, b)}, 2.0)
    found = change("blk.0.attn_q.weight", permute(weight, 4))
    np.testing.assert_allclose(found, permute(weight + 2.0 * (b @ a), 4), atol=1e-5)
    assert change("blk.1.attn_q.weight", weight) is weight
