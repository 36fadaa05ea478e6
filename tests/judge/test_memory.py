"""The memory that a judge takes, before it is opened."""

from __future__ import annotations

import pytest

from mene.engines.openvino import dtype as formats
from mene.judge.memory import memory_of
from mene.judge.preset import Preset, load_preset
from mene.weights.source import Weights


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MENE_DTYPE", raising=False)
    monkeypatch.setattr(formats, "processor_says", lambda flag: False)


def test_bfloat16_takes_more(monkeypatch: pytest.MonkeyPatch) -> None:
    base = load_preset("base")
    plain = memory_of(base)
    assert plain == base.memory
    monkeypatch.setattr(formats, "_ROUNDING", {"bfloat16": ("AMX", lambda: True)})
    monkeypatch.setattr(formats, "memory_size", lambda: 24_000_000_000)
    assert memory_of(base) == pytest.approx(plain + 1.5 * 1.117e9, rel=0.01)
    nano = Preset(engine="embedded", weights=Weights(path="m.gguf", size=100_000_000))
    assert memory_of(nano) == pytest.approx(130_000_000)  # too small to be rounded
    monkeypatch.setattr(formats, "memory_size", lambda: 8_000_000_000)
    assert memory_of(base) == plain
    monkeypatch.setenv("MENE_DTYPE", "bfloat16")
    assert memory_of(base) > plain


def test_unknown_and_elsewhere() -> None:
    assert memory_of(Preset(engine="openai", weights=Weights(served="x"))) == 0
    assert memory_of(Preset(engine="llamacpp", weights=Weights(path="m.gguf"))) == 0
