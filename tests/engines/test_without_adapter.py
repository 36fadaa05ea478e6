"""A critique of the weights alone, in an engine that has an adapter with them: as if the adapter had never been there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny import last_layers

from mene.engines.base import Completion, Request
from mene.judge.preset import load_preset
from mene.message import Message

pytest.importorskip("openvino")

CONTEXT = 512
LABEL = Request(
    0, (Message("user", "Is Paris in France?"),), ("Yes", "No"), "**Reasoning:**", "**Result:**"
)
REASON = replace(LABEL, index=1, critique_tokens=6, choose=False, adapted=False)
BOTH = replace(LABEL, index=2, critique_tokens=6, adapted=False)


@pytest.fixture(scope="module", params=["llamacpp", "llamacpp in slots", "openvino"])
def engines(
    request: pytest.FixtureRequest, short_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Any, Any]]:
    """The same engine with nano's adapter, and without."""
    from mene.engines.llamacpp.engine import LlamaCppEngine
    from mene.engines.openvino.engine import OpenVINOEngine

    own = Path(str(load_preset("nano").adapter))
    adapter = last_layers(own, tmp_path_factory.mktemp("adapter") / "short.gguf")
    slots = {"llamacpp": {"writers": 2}, "llamacpp in slots": {"slots": 2}}
    how: dict[str, Any] = {**slots.get(request.param, {}), "context": CONTEXT}
    kind: Any = OpenVINOEngine if request.param == "openvino" else LlamaCppEngine
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MENE_CACHE", str(tmp_path_factory.mktemp("cache")))
        pair = kind(short_model, adapter=adapter, **how), kind(short_model, **how)
        yield pair
        for engine in pair:
            engine.close()


def answers(engine: Any, *requests: Request) -> list[Completion]:
    found = sorted(
        engine.run([replace(r, index=i) for i, r in enumerate(requests)]), key=lambda c: c.index
    )
    assert [c.error for c in found] == [None] * len(requests)
    return found


def test_reasons_are_those_of_the_weights_and_labels_those_of_the_adapter(engines: Any) -> None:
    adapted, alone = engines
    [label] = answers(adapted, LABEL)
    [plain_label] = answers(alone, LABEL)
    reason, both = (answers(alone, replace(r, adapted=True))[0] for r in (REASON, BOTH))
    # In turns, so that what one has left in the cache is not the other's.
    found = answers(adapted, LABEL, REASON, LABEL, BOTH, REASON, LABEL)
    for place in (0, 2, 5):
        assert found[place].probabilities == pytest.approx(label.probabilities, abs=1e-6)
    for place in (1, 4):
        assert found[place].critique == reason.critique
    assert found[3].critique == both.critique
    assert found[3].probabilities == pytest.approx(both.probabilities, abs=1e-6)
    assert label.probabilities != pytest.approx(plain_label.probabilities, abs=1e-3)
