"""Rewriting the real small model in another number format."""

from __future__ import annotations

import numpy as np

from mene.weights.gguf_file import read_gguf


def test_conversion_keeps_the_weights(small_model, tmp_path) -> None:
    """Q8_0 of the Q4_1 file: every number within 1/254 of its block's largest, the rest untouched."""
    import gguf

    source = next(small_model.parent.glob("*.Q4_1.gguf"))
    old, new = gguf.GGUFReader(source), gguf.GGUFReader(small_model)
    assert [t.name for t in old.tensors] == [t.name for t in new.tensors]
    for before, after in list(zip(old.tensors, new.tensors, strict=True))[::40]:
        assert list(before.shape) == list(after.shape)
        a = gguf.dequantize(before.data, before.tensor_type).reshape(-1)
        b = gguf.dequantize(after.data, after.tensor_type).reshape(-1)
        if a.size % 32:
            np.testing.assert_array_equal(a, b)
            continue
        top = np.abs(a.reshape(-1, 32)).max(axis=1, keepdims=True)
        # Half a step of 1/127, and the block's scale is itself rounded to float16.
        assert (np.abs(a - b).reshape(-1, 32) <= top * (0.5 / 127 + 1e-3) + 1e-7).all()
    skipped = {"general.architecture", "general.file_type"}
    before, after = read_gguf(source).fields, read_gguf(small_model).fields
    assert before.keys() == after.keys()
    assert all(after[name] == value for name, value in before.items() if name not in skipped)
