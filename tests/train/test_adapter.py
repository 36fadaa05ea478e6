"""The adapter that a training starts from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("gguf", reason='needs pip install "mene[train]"')

from mene.errors import ModelError, UsageError
from mene.export.gguf import Architecture, write_lora
from mene.train.adapter import of_gguf, start_of, weights_of

HEADS, SIZE = {"q_proj": 4, "k_proj": 2}, 6
MODULES = [
    f"model.layers.{layer}.{part}"
    for layer in (0, 1)
    for part in ("self_attn.q_proj", "self_attn.k_proj", "self_attn.o_proj", "mlp.down_proj")
]


@pytest.mark.parametrize("arch", ["llama", "qwen2"])
def test_llama_cpps_form_of_an_adapter_is_what_it_was_written_from(
    arch: str, tmp_path: Path
) -> None:
    random = np.random.default_rng(1)
    factors = {}
    for module in MODULES:
        rows = SIZE * HEADS.get(module.rpartition(".")[2], 3)
        a, b = random.normal(size=(2, 8)), random.normal(size=(rows, 2))
        factors[module] = (a.astype(np.float16), b.astype(np.float16))
    path = tmp_path / "adapter.gguf"
    write_lora(path, Architecture(arch, 2, HEADS["q_proj"], HEADS["k_proj"]), "x", 32.0, factors)
    names = {
        f"base_model.model.{module}.lora_{side}.weight": factor
        for module, both in factors.items()
        for side, factor in zip("AB", both, strict=True)
    }
    found = of_gguf(path, names, SIZE)
    assert found.alpha == 32 and found.weights.keys() == names.keys()
    for name, factor in names.items():
        np.testing.assert_array_equal(found.weights[name], factor)
    # A recipe that adapts fewer layers sees what is too much, one that adapts more lacks some.
    upper = [name for name in names if ".layers.1." in name]
    assert len(of_gguf(path, upper, SIZE).weights) == len(names)
    assert len(of_gguf(path, [*names, upper[0].replace(".1.", ".2.")], SIZE).weights) == len(names)


def test_judges_that_ship_are_found() -> None:
    assert weights_of(start_of("base")).name == "adapter.gguf"
    assert start_of("nano").suffix == ".gguf"


def test_a_file_that_is_no_adapter_is_one_error(tmp_path: Path) -> None:
    path = tmp_path / "adapter.gguf"
    path.write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(ModelError, match=r"adapter\.gguf"):
        of_gguf(start_of(str(path)), [], SIZE)
    with pytest.raises(UsageError, match="such as nano or base"):
        start_of("base-untrained")
