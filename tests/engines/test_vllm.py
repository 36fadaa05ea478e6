"""The vLLM engine, against the engine that feeds the same model itself.

vLLM is played: ``SamplingParams`` in, its outputs' fields out (names and meaning as in vLLM 0.32). docs/engines.md says what was
run with vLLM itself.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event
from types import ModuleType, SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from hashed import TEXTS, HashedModel
from scipy.special import log_softmax

from mene.engines import steps
from mene.engines.base import Request
from mene.engines.in_process.engine import InProcessEngine
from mene.engines.vllm.engine import MOST_TOKENS, VLLMEngine
from mene.engines.vllm.load import Model, load
from mene.errors import ContextOverflow, EngineError, ModelError, UsageError
from mene.judge.preset import load_preset
from mene.message import Message

SCALES = [("yes", "no"), ("0", "1", "10", "100"), ("good", "good rest", "bad")]


@dataclass
class SamplingParams:
    """Those of vLLM's that are used."""

    max_tokens: int = 16
    temperature: float = 1.0
    seed: int | None = None
    stop: list[str] = field(default_factory=list)
    logprob_token_ids: list[int] | None = None
    allowed_token_ids: list[int] | None = None
    detokenize: bool = True


class PlayedLLM:
    """``vllm.LLM`` over a model whose logits are a hash."""

    def __init__(self, model: HashedModel) -> None:
        self.model, self.asked, self.adapters, self.broken = model, [], [], False

    def generate(
        self, prompts: Any, params: Any, *, lora_request: Any, use_tqdm: bool
    ) -> list[Any]:
        assert len(prompts) == len(params)
        assert not use_tqdm
        if self.broken:
            raise RuntimeError("the engine core died")
        self.asked.append(len(prompts))
        self.adapters.append(lora_request)
        # As vLLM has it: one request for all prompts, or of each its own, None for the weights alone.
        each = lora_request if isinstance(lora_request, list) else [lora_request] * len(prompts)
        asked = zip(prompts, params, each, strict=True)
        return [
            self._one(p["prompt_token_ids"], s, 0 if lora == "lora" else None)
            for p, s, lora in asked
        ]

    def _one(self, ids: list[int], params: SamplingParams, adapter: int | None) -> Any:
        tokens, logs, text, reason = list(ids), [], "", "length"
        for _ in range(params.max_tokens):
            logits = self.model.logits(tokens, adapter).astype(np.float64)
            if params.logprob_token_ids is not None:  # raw: before anything restricts them
                every = log_softmax(logits)
                wanted = params.logprob_token_ids
                logs.append({t: SimpleNamespace(logprob=float(every[t])) for t in wanted})
            allowed = params.allowed_token_ids or range(len(logits))
            token = max(allowed, key=lambda t: logits[t])
            tokens.append(token)
            if token == 1:
                reason = "stop"
                break
            text += TEXTS[token] if token > 1 else ""
            if any(end in text for end in params.stop):
                text, reason = min((text.partition(end)[0] for end in params.stop), key=len), "stop"
                break
        said = SimpleNamespace(
            text=text, token_ids=tokens[len(ids) :], logprobs=logs or None, finish_reason=reason
        )
        return SimpleNamespace(outputs=[said], num_cached_tokens=3)


@pytest.fixture
def vllm(monkeypatch) -> ModuleType:
    played = ModuleType("vllm")
    played.SamplingParams = SamplingParams  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "vllm", played)
    return played


def engine_of(model: HashedModel, adapter: Any = None, **more: Any) -> tuple[VLLMEngine, PlayedLLM]:
    llm = PlayedLLM(model)
    return VLLMEngine("m", loaded=Model(llm, cast(Any, model), adapter), **more), llm


def ask(index: int, labels: tuple[str, ...], text: str, **more: Any) -> Request:
    return Request(index, (Message("user", text),), labels, "", "=>", **more)


def table(**more: Any) -> list[Request]:
    texts = ["a dog. ", "a dog and a goat. ", "a "]
    rows = [(text, labels) for labels in SCALES for text in texts]
    return [ask(n, labels, text, **more) for n, (text, labels) in enumerate(rows)]


@pytest.mark.parametrize("tokens", [0, 9])
def test_it_says_what_the_engine_says_that_feeds_the_model(vllm, tokens, monkeypatch) -> None:
    requests = table(critique_tokens=tokens)
    # A reason after a verdict, where no label follows, ends at texts that the hashed model does write.
    monkeypatch.setattr(steps, "ENOUGH", (" ", "e"))
    requests = [replace(one, choose=not tokens or one.index % 2 == 0) for one in requests]
    # Rows with the adapter and without it stand side by side, as verdicts and the critiques of a judge with one.
    requests = [replace(one, adapter=0 if one.index % 3 else None) for one in requests]
    engine, _ = engine_of(HashedModel(), "lora", rows=4)
    found = {done.index: done for done in engine.run(iter(requests))}
    wanted = {done.index: done for done in InProcessEngine(HashedModel()).run(iter(requests))}
    assert found.keys() == wanted.keys()
    for index, done in found.items():
        other = wanted[index]
        assert (done.probabilities is None) == (other.probabilities is None)
        if other.probabilities is not None:
            assert done.probabilities == pytest.approx(other.probabilities, abs=1e-5)
        assert done.label == other.label
        assert done.critique == other.critique
        assert done.usage.prompt_tokens == other.usage.prompt_tokens
        assert done.usage.completion_tokens == other.usage.completion_tokens
        assert done.notes == other.notes


def test_it_pulls_no_further_than_a_window_and_ends_where_told(vllm) -> None:
    engine, llm = engine_of(HashedModel(), rows=2)
    pulled, stop = [], Event()

    def requests():
        for request in table():
            pulled.append(request.index)
            yield request

    running = engine.run(requests(), stop)
    next(running)
    assert pulled == [0, 1]
    stop.set()
    list(running)
    assert len(pulled) <= 3
    assert len(llm.asked) == 1


def test_a_none_ends_a_window(vllm) -> None:
    engine, llm = engine_of(HashedModel())
    first, second, *_ = table()
    running = engine.run(iter([first, None, second]))
    assert next(running).index == first.index
    assert len(llm.asked) == 1


def test_a_row_fails_alone(vllm) -> None:
    engine, _ = engine_of(HashedModel(context=60))
    bad = ask(7, SCALES[0], "no!")
    long = ask(8, SCALES[0], "a dog. " * 30)
    good = ask(9, SCALES[0], "a dog. ")
    found = {done.index: done for done in engine.run(iter([bad, long, good]))}
    assert "chat template refuses" in str(found[7].error)
    assert isinstance(found[8].error, ContextOverflow)
    assert found[9].label


def test_critiques_are_heard_and_may_come_without_a_label(vllm) -> None:
    engine, llm = engine_of(HashedModel(), adapter="lora")
    heard: list[str] = []
    [done] = engine.run(
        iter([ask(0, SCALES[0], "a ", critique_tokens=5, choose=False, hear=heard.append)])
    )
    assert "".join(heard) == done.critique
    assert done.label is None
    assert llm.asked == [1]  # nothing is asked about labels
    assert llm.adapters == [["lora"]]
    assert done.usage.cached_tokens == 3


def test_no_adapter_is_named_where_none_is_wanted(vllm) -> None:
    engine, llm = engine_of(HashedModel(), adapter="lora")
    list(engine.run(iter([ask(0, SCALES[0], "a ", adapter=None)])))
    plain, other = engine_of(HashedModel())
    list(plain.run(iter([ask(0, SCALES[0], "a ")])))
    assert llm.adapters == other.adapters == [None]


def test_an_engine_that_dies_ends_the_run_and_a_closed_one_says_so(vllm) -> None:
    engine, llm = engine_of(HashedModel())
    llm.broken = True
    with pytest.raises(EngineError, match="the engine core died"):
        list(engine.run(iter(table())))
    engine.close()
    engine.close()
    with pytest.raises(ModelError, match="was closed"):
        list(engine.run(iter(table())))


def test_more_labels_than_vllm_tells_apart_are_refused(vllm) -> None:
    class Wide(HashedModel):
        def tokenize(self, text: str) -> list[int]:
            return [5, int(text.rpartition(" ")[2]) + 10]

    engine, _ = engine_of(Wide())
    labels = tuple(str(n) for n in range(MOST_TOKENS + 1))
    [done] = engine.run(iter([ask(0, labels, "a ")]))
    assert f"{MOST_TOKENS} labels" in str(done.error)


def test_a_judge_is_named_by_its_model_and_the_package_by_its_extra(monkeypatch) -> None:
    preset = load_preset("vllm:org/name")
    assert (preset.engine, preset.weights.hub) == ("vllm", "org/name")
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(ModelError, match=r'vllm is not installed; run: pip install "mene\[vllm\]"'):
        load("org/name", None, None, None, None)


class PlayedLoad:
    """``vllm.LLM``, as far as loading goes."""

    asked: dict[str, Any]

    def __init__(self, model: str, **options: Any) -> None:
        PlayedLoad.asked = options
        config = SimpleNamespace(dtype="torch.bfloat16", max_model_len=512)
        self.llm_engine = SimpleNamespace(model_config=config)

    def get_tokenizer(self) -> Any:
        return SimpleNamespace(
            all_special_tokens=["<s>"],
            added_tokens_decoder={},
            bos_token_id=1,
            encode=lambda text: [1, 5],
        )


def adapter_of(folder: Path, **config: Any) -> str:
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps(config))
    (folder / "adapter_model.safetensors").write_bytes(b"weights")
    return str(folder)


def test_memory_is_set_aside_for_the_rank_of_the_adapter(vllm, tmp_path, monkeypatch) -> None:
    request = ModuleType("vllm.lora.request")
    request.LoRARequest = lambda *of: of  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "vllm.lora", ModuleType("vllm.lora"))
    monkeypatch.setitem(sys.modules, "vllm.lora.request", request)
    vllm.LLM = PlayedLoad  # type: ignore[attr-defined]
    folder = adapter_of(tmp_path / "one", r=16, rank_pattern={"q_proj": 100})
    found = load("org/name", None, folder, None, None)
    assert found.adapter == ("judge", 1, folder)
    assert (PlayedLoad.asked["enable_lora"], PlayedLoad.asked["max_lora_rank"]) == (True, 128)
    plain = load("org/name", None, None, None, None)
    assert plain.adapter is None
    assert "enable_lora" not in PlayedLoad.asked
    assert found.texts.identity != plain.texts.identity
    PlayedLoad.asked = {}
    for config, said in (
        ({"r": 600}, "rank 600, and vLLM reads 512"),
        ({}, "cannot read the rank"),
    ):
        with pytest.raises(UsageError, match=said):
            load("org/name", None, adapter_of(tmp_path / said, **config), None, None)
    assert not PlayedLoad.asked  # said before the model is loaded
