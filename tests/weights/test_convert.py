"""Rewriting two layers of the real small model in another number format."""

from __future__ import annotations

import math

import gguf
import numpy as np
from tiny import last_layers

from mene.weights.convert import convert
from mene.weights.gguf_file import GGUF, Tensor, read_gguf


def values(found: GGUF, data: np.ndarray, tensor: Tensor) -> np.ndarray:
    """The first million of a tensor's numbers."""
    form = gguf.GGMLQuantizationType(tensor.form)
    block, size = gguf.GGML_QUANT_SIZES[form]
    at = found.start + tensor.offset
    raw = data[at : at + min(math.prod(tensor.shape), 1 << 20) // block * size]
    return gguf.dequantize(raw, form).reshape(-1)


def test_conversion_keeps_the_weights(small_model, tmp_path) -> None:
    """Q8_0 of the Q4_1 file: every number within half a step of its block's largest, the rest untouched."""
    whole = next(small_model.parent.glob("*.Q4_1.gguf"))
    source = last_layers(whole, tmp_path / "two.Q4_1.gguf", 2)
    target = convert(source, "Q8_0")
    assert target == tmp_path / "two.Q8_0.gguf"
    old, new = read_gguf(source), read_gguf(target)
    assert [(t.name, t.shape) for t in old.tensors] == [(t.name, t.shape) for t in new.tensors]
    assert len(old.tensors) == 2 + 2 * 9
    before, after = np.memmap(source, mode="r"), np.memmap(target, mode="r")
    for one, other in zip(old.tensors, new.tensors, strict=True):
        matrix = len(one.shape) > 1
        assert gguf.GGMLQuantizationType(other.form).name == ("Q8_0" if matrix else "F32")
        a, b = values(old, before, one), values(new, after, other)
        if not matrix:
            np.testing.assert_array_equal(a, b)
            continue
        # Half a step of 1/127, and the block's scale is itself rounded to float16.
        top = np.abs(a.reshape(-1, 32)).max(axis=1, keepdims=True)
        assert (np.abs(a - b).reshape(-1, 32) <= top * (0.5 / 127 + 1e-3) + 1e-7).all()
    skipped = {"general.architecture", "general.file_type"}
    assert old.fields.keys() == new.fields.keys()
    assert all(
        new.fields[name] == value for name, value in old.fields.items() if name not in skipped
    )
