"""Critiques of a second adapter, or of the weights alone, in an engine whose labels are those of a first adapter: as if that had
never been there."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny import last_layers

from mene.engines.base import Completion, Request
from mene.errors import ModelError
from mene.judge.preset import load_preset
from mene.message import Message

pytest.importorskip("openvino")

CONTEXT = 512
LABEL = Request(
    0, (Message("user", "Is Paris in France?"),), ("Yes", "No"), "**Reasoning:**", "**Result:**"
)
REASON = replace(LABEL, index=1, critique_tokens=6, choose=False, adapter=None)
BOTH = replace(LABEL, index=2, critique_tokens=6, adapter=None)


@pytest.fixture(scope="module", params=["llamacpp", "llamacpp in slots", "openvino"])
def engines(
    request: pytest.FixtureRequest, short_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Any, Any, Any]]:
    """The same engine with nano's adapter and its opposite, with the opposite alone, and without."""
    from mene.engines.llamacpp.engine import LlamaCppEngine
    from mene.engines.openvino.engine import OpenVINOEngine

    own = Path(str(load_preset("nano").adapter))
    adapter = last_layers(own, tmp_path_factory.mktemp("adapter") / "short.gguf")
    slots = {"llamacpp": {"writers": 2}, "llamacpp in slots": {"slots": 2}}
    how: dict[str, Any] = {**slots.get(request.param, {}), "context": CONTEXT}
    kind: Any = OpenVINOEngine if request.param == "openvino" else LlamaCppEngine
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MENE_CACHE", str(tmp_path_factory.mktemp("cache")))
        other = opposite(adapter)
        each = [[adapter, other], [other], []]
        first, second, none = (kind(short_model, adapters=one, **how) for one in each)
        yield first, second, none
        for engine in (first, second, none):
            engine.close()


def opposite(adapter: Path) -> Path:
    """Write an adapter that does the contrary of another one: its alpha has the other sign."""
    before, key, after = adapter.read_bytes().partition(b"adapter.lora.alpha")
    kind, alpha = struct.unpack("<If", after[:8])
    target = adapter.with_name("opposite.gguf")
    target.write_bytes(before + key + struct.pack("<If", kind, -alpha) + after[8:])
    return target


def answers(engine: Any, *requests: Request) -> list[Completion]:
    found = sorted(
        engine.run([replace(r, index=i) for i, r in enumerate(requests)]), key=lambda c: c.index
    )
    assert [c.error for c in found] == [None] * len(requests)
    return found


def test_reasons_are_those_of_the_weights_and_labels_those_of_the_adapter(engines: Any) -> None:
    adapted, _, alone = engines
    [label] = answers(adapted, LABEL)
    [plain_label] = answers(alone, LABEL)
    reason, both = (answers(alone, replace(r, adapter=0))[0] for r in (REASON, BOTH))
    # In turns, so that what one has left in the cache is not the other's.
    found = answers(adapted, LABEL, REASON, LABEL, BOTH, REASON, LABEL)
    for place in (0, 2, 5):
        assert found[place].probabilities == pytest.approx(label.probabilities, abs=1e-6)
    for place in (1, 4):
        assert found[place].critique == reason.critique
    assert found[3].critique == both.critique
    assert found[3].probabilities == pytest.approx(both.probabilities, abs=1e-6)
    assert label.probabilities != pytest.approx(plain_label.probabilities, abs=1e-3)


def test_reasons_are_those_of_a_second_adapter(engines: Any) -> None:
    adapted, second, alone = engines
    [label] = answers(adapted, LABEL)
    [reason] = answers(second, replace(REASON, adapter=0))
    [both] = answers(second, replace(BOTH, adapter=0))
    mine, mine_too = replace(REASON, adapter=1), replace(BOTH, adapter=1)
    found = answers(adapted, LABEL, mine, LABEL, mine_too, REASON, mine, LABEL)
    for place in (0, 2, 6):
        assert found[place].probabilities == pytest.approx(label.probabilities, abs=1e-6)
    for place in (1, 5):
        assert found[place].critique == reason.critique
    assert found[3].probabilities == pytest.approx(both.probabilities, abs=1e-6)
    [plain] = answers(alone, replace(BOTH, adapter=0))
    assert both.probabilities != pytest.approx(plain.probabilities, abs=1e-3)


def test_an_adapter_of_another_model_is_named(short_model: Path) -> None:
    from mene.engines.llamacpp.engine import LlamaCppEngine

    adapters = load_preset("base").adapters[:1]
    with pytest.raises(
        ModelError, match=r"adapter.gguf: this adapter was .* \(on a qwen2, not a llama\); give"
    ):
        LlamaCppEngine(short_model, adapters=adapters)


def test_prompts_for_a_second_adapter_share_their_beginning(engines: Any) -> None:
    adapted, second, _ = engines
    start = "A stone is not a bird, and a bird is not a stone. " * 12
    asked = [
        replace(REASON, adapter=1, messages=(Message("user", f"{start}Is {name} in France?"),))
        for name in ("Paris", "Rome", "Lyon")
    ]
    answers(adapted, LABEL)
    found = answers(adapted, *asked)
    # One of them, whichever ends first, counts as having read the beginning.
    assert sorted(one.usage.cached_tokens for one in found)[1] > 90
    if not getattr(adapted, "_pooled", False):  # there, texts side by side round differently
        alone = [answers(second, replace(one, adapter=0))[0] for one in asked]
        assert [one.critique for one in found] == [one.critique for one in alone]
