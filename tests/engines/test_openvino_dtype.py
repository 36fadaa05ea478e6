"""The number format that OpenVINO computes in: who chooses it, and what where the processor lacks it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny import mini_gguf

from mene.engines.openvino import dtype as formats
from mene.engines.openvino.dtype import dtype_in, dtype_of, has_amx, has_vnni
from mene.errors import UsageError
from mene.events import Event, Warn
from mene.judge.open import open_engine
from mene.judge.preset import Preset
from mene.weights.source import Weights

NO_FILE = Path("none.gguf")


@pytest.fixture(autouse=True)
def free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MENE_DTYPE", raising=False)
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    monkeypatch.delenv("DNNL_MAX_CPU_ISA", raising=False)
    monkeypatch.setattr(formats, "processor_has", lambda feature: True)
    monkeypatch.setattr(formats, "processor_says", lambda flag: False)


@pytest.mark.parametrize(
    ("has", "amx", "large", "dtype"),
    [
        (True, False, True, "int8"),
        (True, True, True, "bfloat16"),
        (True, True, False, "float32"),
        (True, False, False, "float32"),
        (False, False, True, "float32"),
    ],
)
def test_large_models_round_where_that_is_fast(
    has: bool, amx: bool, large: bool, dtype: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "processor_has", lambda feature: has)
    monkeypatch.setattr(formats, "processor_says", lambda flag: amx)
    monkeypatch.setattr(formats, "LARGE", 10)
    path = tmp_path / "model.gguf"
    path.write_bytes(b"x" * (11 if large else 10))
    assert dtype_of(None, path, pytest.fail) == dtype
    assert dtype_of("float32", path, pytest.fail) == "float32"
    assert dtype_of(None, tmp_path, pytest.fail) == "float32"


def test_bfloat16_wants_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "processor_says", lambda flag: True)
    monkeypatch.setattr(formats, "LARGE", 10)
    path = tmp_path / "model.gguf"
    path.write_bytes(b"x" * 11)
    for memory, dtype in ((88, "bfloat16"), (87, "int8"), (None, "bfloat16")):
        monkeypatch.setattr(formats, "memory_size", lambda memory=memory: memory)
        assert dtype_of(None, path, pytest.fail) == dtype


def test_bfloat16_wants_disk_unless_the_model_is_prepared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MENE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(formats, "processor_says", lambda flag: True)
    monkeypatch.setattr(formats, "LARGE", 10)
    path = tmp_path / "model[1].gguf"
    path.write_bytes(b"x" * 11)
    for free, dtype in ((88, "bfloat16"), (87, "int8")):
        monkeypatch.setattr(formats, "free_space", lambda folder, free=free: free)
        assert dtype_of(None, path, pytest.fail) == dtype
    (tmp_path / "cache/openvino/model[1]-bfloat16-0123456789abcdef-8").mkdir(parents=True)
    assert dtype_of(None, path, pytest.fail) == "bfloat16"


def test_the_environment_goes_before_the_preset(monkeypatch: pytest.MonkeyPatch) -> None:
    assert dtype_of("int8", NO_FILE, pytest.fail) == "int8"
    monkeypatch.setenv("MENE_DTYPE", "float32")
    assert dtype_of("int8", NO_FILE, pytest.fail) == "float32"


@pytest.mark.parametrize(("asked", "forced"), [("float16", None), (None, "fp8")])
def test_a_format_that_it_does_not_have(
    asked: str | None, forced: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if forced:
        monkeypatch.setenv("MENE_DTYPE", forced)
    with pytest.raises(UsageError, match=r"(MENE_DTYPE|dtype): .*one of float32, int8"):
        dtype_of(asked, NO_FILE, pytest.fail)


def test_a_processor_without_it_computes_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "processor_has", lambda feature: False)
    said: list[str] = []
    assert dtype_of("int8", NO_FILE, said.append) == "float32"
    assert dtype_of("bfloat16", NO_FILE, said.append) == "float32"
    monkeypatch.setattr(formats, "processor_has", lambda feature: True)
    assert dtype_of("bfloat16", NO_FILE, said.append) == "float32"
    assert said == [
        "this processor has no AVX512-VNNI: computing in float32 instead of int8",
        "this processor has no AMX: computing in float32 instead of bfloat16",
        "this processor has no AMX: computing in float32 instead of bfloat16; MENE_DTYPE=int8 is faster here",
    ]


def test_what_is_hidden_from_the_library_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    assert has_vnni()
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_VNNI")
    assert has_vnni()
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "avx2")
    assert not has_vnni()
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA")
    monkeypatch.setenv("DNNL_MAX_CPU_ISA", "AVX2")  # its old name
    assert not has_vnni()


@pytest.mark.parametrize(
    ("identity", "dtype"),
    [
        ("openvino:int8:m.gguf@1", "int8"),
        ("openvino:bfloat16:m.gguf@1", "bfloat16"),
        ("openvino:m.gguf@1", "float32"),
        ("llamacpp:m.gguf@1", "float32"),
    ],
)
def test_an_identity_says_the_format(identity: str, dtype: str) -> None:
    assert dtype_in(identity) == dtype


def test_amx_may_be_hidden_too(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not has_amx()
    monkeypatch.setattr(formats, "processor_says", lambda flag: flag == "amx_bf16")
    assert has_amx()
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "avx512_core_bf16")
    assert not has_amx()
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_AMX")
    assert has_amx()


def test_llamacpp_has_no_choice_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mene.engines.llamacpp.engine.LlamaCppEngine", lambda *_, **__: None)
    monkeypatch.setenv("MENE_DTYPE", "float32")
    path = mini_gguf(tmp_path / "mini.gguf")
    said: list[Event] = []
    preset = Preset(name="mine", engine="llamacpp", weights=Weights(path=str(path)))
    open_engine(preset, critique=False, events=said.append)
    [warning] = said
    assert isinstance(warning, Warn)
    assert "mine runs on llama.cpp" in warning.text and "float32 has no effect" in warning.text
