"""The OpenVINO engine against Transformers' forward passes, on small models of every form it knows."""

from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from chained import goes_on_from_the_tree_before
from tiny import tiny_gguf

from mene.engines.base import Completion, Request
from mene.engines.labels import label_paths, label_probabilities
from mene.engines.openvino.dtype import Dtype, has_amx, has_vnni
from mene.engines.openvino.weights import _READERS, for_rounding, pack
from mene.export.gguf import read_facts, write_lora
from mene.message import Message

pytest.importorskip("openvino")
torch = pytest.importorskip("torch")

from mene.engines.in_process.engine import InProcessEngine  # noqa: E402
from mene.engines.openvino.compile import compiled  # noqa: E402
from mene.engines.openvino.engine import OpenVINOEngine  # noqa: E402
from mene.engines.openvino.model import OpenVINOModel  # noqa: E402
from mene.engines.openvino.prepare import prepare  # noqa: E402

SCALES = [("yes", "no"), ("1", "10", "2"), ("partly supported", "fully supported", "not supported")]
SENTENCE = "Paris is the capital of France , a city on the Seine with two million people ."
WORDS = SENTENCE.split()


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MENE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def requests(count: int = 6, words: int = 12, **more: Any) -> list[Request]:
    """Prompts that share a start, of different length."""
    found = []
    for index in range(count):
        text = " ".join((WORDS * (words // len(WORDS) + 2))[: words + 5 * index])
        messages = (Message("user", f"Is this right? {text} ({index})"),)
        labels = SCALES[index % len(SCALES)]
        found.append(Request(index, messages, labels, "", "**Result:**", **more))
    return found


def by_index(completions: Generator[Completion, None, None]) -> list[Completion]:
    return sorted(completions, key=lambda done: done.index)


def expected(
    model: Any, engine: OpenVINOEngine, request: Request, before: str = ""
) -> dict[str, float]:
    """Label probabilities by plain forward passes of Transformers."""
    own = engine._model
    paths = label_paths(own.tokenize, request.cue, request.labels)
    ids = own.ids(engine.prompt(request) + before) + list(paths.shared)
    logs = {}
    for path, tokens in paths.branches.items():
        with torch.inference_mode():
            table = model(torch.tensor([[*ids, *path]])).logits[0, -1].log_softmax(-1)
        logs[path] = {token: float(table[token]) for token in tokens}
    return label_probabilities(paths, logs)


def assert_close(
    one: dict[str, float] | None, other: dict[str, float], within: float = 1e-4
) -> None:
    assert one is not None
    assert max(abs(one[label] - other[label]) for label in other) < within, (one, other)


# Where in a block of each format its float16 stand.
HALVES = {
    "Q8_0": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208],
}  # fmt: skip


@pytest.mark.parametrize("form", HALVES)
def test_packed_weights_are_what_gguf_says(form: str) -> None:
    kind = gguf.GGMLQuantizationType[form]
    random = np.random.default_rng(0)
    block, size = gguf.GGML_QUANT_SIZES[kind]
    raw = random.integers(0, 256, (8, 512 // block, size), dtype=np.uint8)
    for at in HALVES[form]:
        some = random.normal(size=raw.shape[:2]).astype(np.float16)
        some[0, 0] = 0  # a group of equal weights
        raw[..., at : at + 2] = some[..., None].view(np.uint8)
    raw = raw.reshape(8, -1)
    right = gguf.dequantize(raw, kind)
    found = _READERS[form](raw, 512).plain()
    np.testing.assert_allclose(found, right, rtol=1e-5, atol=1e-3)


def test_other_formats_are_packed_closely() -> None:
    values = np.random.default_rng(0).normal(size=(16, 64)).astype(np.float32)
    values[3] = 0
    assert np.abs(pack(values).plain() - values).max() <= np.abs(values).max() / 254 + 1e-6


@pytest.mark.parametrize("form", HALVES)
def test_weights_for_rounding_are_the_same_weights(form: str) -> None:
    kind = gguf.GGMLQuantizationType[form]
    random = np.random.default_rng(1)
    values = random.normal(size=(8, 512)).astype(np.float32)
    values[0] += 3  # a zero point beyond the numbers of four bits
    raw = _quantized(values, kind)
    before = _READERS[form](raw, 512)
    after, rest = for_rounding(before)
    whole = after.zeros is None or bool((after.zeros == np.rint(after.zeros)).all())
    assert whole and after.values.shape[2] >= 32
    plain = after.plain().reshape(after.values.shape)
    if rest is not None:
        plain = plain + rest[..., None]
    off = np.abs(plain.reshape(8, 512) - before.plain())
    assert off.max() < (np.abs(values).max() / 250 if form == "Q6_K" else 1e-5)


def _quantized(values: np.ndarray, kind: gguf.GGMLQuantizationType) -> np.ndarray:
    """Pack as gguf does, or, where it only unpacks (K-quants), take random blocks with sensible scales."""
    try:
        return gguf.quantize(values, kind)
    except NotImplementedError:
        block, size = gguf.GGML_QUANT_SIZES[kind]
        random = np.random.default_rng(2)
        raw = random.integers(0, 256, (8, 512 // block, size), dtype=np.uint8)
        for at in HALVES[kind.name]:
            some = np.full(raw.shape[:2], 0.001, np.float16)
            raw[..., at : at + 2] = some[..., None].view(np.uint8)
        return raw.reshape(8, -1)


FORMS = [
    ("Llama", "Q8_0", {}),
    ("Llama", "F16", {"factors": True, "tie_word_embeddings": True}),
    ("Qwen2", "Q4_1", {}),
    ("Qwen2", "Q5_0", {"num_key_value_heads": 4}),
    ("Qwen3", "BF16", {}),
]


@pytest.mark.parametrize(("kind", "form", "settings"), FORMS)
def test_verdicts_equal_plain_passes(
    kind: str, form: str, settings: dict[str, Any], small_model: Path, tmp_path: Path
) -> None:
    path = tmp_path / "tiny.gguf"
    model = tiny_gguf(path, kind, small_model, form, **settings)
    engine = OpenVINOEngine(path)
    asked = requests()
    for request, done in zip(asked, by_index(engine.run(asked)), strict=True):
        assert_close(done.probabilities, expected(model, engine, request))
    engine.close()


@pytest.mark.parametrize("form", ["Q8_0", "Q4_1", "Q5_0", "BF16"])
def test_the_graph_for_rounding_is_the_same_model(
    form: str, small_model: Path, tmp_path: Path
) -> None:
    """Where nothing rounds, it gives the probabilities of the weights."""
    path = tmp_path / "tiny.gguf"
    model = tiny_gguf(path, "Qwen2", small_model, form)
    exact = OpenVINOEngine(path)
    other = OpenVINOModel(prepare(path, dtype="int8"), "x", 2)
    engine = InProcessEngine(other, batch_tokens=2048, context=exact.context, rows=4)
    asked = requests()
    for request, done in zip(asked, by_index(engine.run(asked)), strict=True):
        assert_close(done.probabilities, expected(model, exact, request))
    exact.close()
    engine.close()


@pytest.mark.skipif(not has_vnni(), reason="no 8-bit products here")
def test_int8_is_near(small_model: Path, tmp_path: Path) -> None:
    _is_near(small_model, tmp_path, "Q4_1", "int8")


@pytest.mark.parametrize("form", ["Q4_1", "Q8_0", "F16", "BF16"])
def test_bfloat16_is_near(small_model: Path, tmp_path: Path, form: str) -> None:
    """Also without AMX, where OpenVINO computes such a graph in float32."""
    _is_near(small_model, tmp_path, form, "bfloat16")


def test_logits_are_never_rounded_to_bfloat16(small_model: Path, tmp_path: Path) -> None:
    """Near 20 its numbers are 0.1 apart: close verdicts would change, or be ties."""
    path = tmp_path / "tiny.gguf"
    tiny_gguf(path, "Qwen2", small_model, "Q8_0")
    graph = compiled(prepare(path, dtype="bfloat16").graph, 2, "bfloat16").get_runtime_model()
    kinds: dict[int, set[str]] = {}  # width of the result -> its number formats
    for node in graph.get_ordered_ops():
        if node.get_rt_info()["layerType"].astype(str) == "FullyConnected":
            width = node.get_output_partial_shape(0)[-1].get_length()
            kinds.setdefault(width, set()).add(node.get_rt_info()["outputPrecisions"].astype(str))
    logits = kinds.pop(max(kinds))  # the vocabulary is wider than anything else
    assert logits == {"f32"}
    assert kinds
    if has_amx():
        assert all("bf16" in found for found in kinds.values())


def _is_near(small_model: Path, tmp_path: Path, form: str, dtype: Dtype) -> None:
    path = tmp_path / "tiny.gguf"
    model = tiny_gguf(path, "Qwen2", small_model, form)
    engine = OpenVINOEngine(path, dtype=dtype)
    assert engine.identity.startswith(f"openvino:{dtype}:")
    asked = requests()
    found = by_index(engine.run(asked))
    for request, done in zip(asked, found, strict=True):
        assert_close(done.probabilities, expected(model, engine, request), within=0.05)
    engine.close()


@pytest.fixture(scope="module")
def tiny(
    small_model: Path, tmp_path_factory: pytest.TempPathFactory, own_cache: None
) -> Iterator[tuple[OpenVINOEngine, Any, Path]]:
    path = tmp_path_factory.mktemp("tiny") / "tiny.gguf"
    model = tiny_gguf(path, "Llama", small_model, "Q8_0")
    engine = OpenVINOEngine(path)
    yield engine, model, path
    engine.close()


def greedy(model: Any, engine: OpenVINOEngine, request: Request) -> str:
    """A critique written one token at a time by Transformers."""
    own = engine._model
    ids = own.ids(engine.prompt(request))
    written: list[int] = []
    while len(written) < request.critique_tokens:
        with torch.inference_mode():
            token = int(model(torch.tensor([[*ids, *written]])).logits[0, -1].argmax())
        if token in own.stops:
            break
        written.append(token)
    before = own.decode(ids[-1:])
    return own.decode([*ids[-1:], *written])[len(before) :]


def test_critiques_and_their_labels_equal_plain_passes(tiny: Any) -> None:
    engine, model, _ = tiny
    asked = requests(critique_tokens=8)
    for request, done in zip(asked, by_index(engine.run(asked)), strict=True):
        text = greedy(model, engine, request)
        assert done.critique == text.strip()
        assert_close(done.probabilities, expected(model, engine, request, text.rstrip() + "\n\n"))


def test_prompts_longer_than_a_piece(tiny: Any) -> None:
    engine, model, _ = tiny
    asked = requests(count=3, words=900)
    for request, done in zip(asked, by_index(engine.run(asked)), strict=True):
        assert done.usage.prompt_tokens > 600
        assert_close(done.probabilities, expected(model, engine, request))
    written = by_index(engine.run(requests(count=3, words=900, critique_tokens=4)))
    assert [done.error for done in written] == [None] * 3


def test_same_verdicts_in_other_company(tiny: Any) -> None:
    engine, _, _ = tiny
    asked = requests(count=9, words=300)
    together = by_index(engine.run(asked))
    for request, done in zip(asked, together, strict=True):
        (alone,) = engine.run([request])
        assert alone.probabilities is not None
        assert_close(done.probabilities, alone.probabilities, 1e-5)
    backwards = by_index(engine.run(asked[::-1]))
    for one, other in zip(together, backwards, strict=True):
        assert_close(one.probabilities, other.probabilities or {}, 1e-5)


def adapter_of(model: Any, path: Path, target: Path, rank: int = 4) -> Any:
    """Write an adapter of random numbers, and give the model with it in its weights."""
    random = np.random.default_rng(rank)
    factors, changed = {}, copy.deepcopy(model)
    for name, module in changed.named_modules():
        if isinstance(module, torch.nn.Linear) and name != "lm_head":
            a = random.normal(size=(rank, module.in_features)).astype(np.float16) / 8
            b = random.normal(size=(module.out_features, rank)).astype(np.float16) / 8
            factors[name] = a.astype(np.float32), b.astype(np.float32)
            module.weight.data += torch.from_numpy(
                8 / rank * (b.astype(np.float32) @ a.astype(np.float32))
            )
    write_lora(target, read_facts(path).architecture, "tiny", 8.0, factors)
    return changed


def test_an_adapter_is_computed_exactly(tiny: Any, tmp_path: Path) -> None:
    _, model, path = tiny
    adapter = tmp_path / "adapter.gguf"
    changed = adapter_of(model, path, adapter)
    engine = OpenVINOEngine(path, adapters=[adapter])
    assert engine.identity != tiny[0].identity
    asked = requests()
    moved = 0.0
    for request, done in zip(asked, by_index(engine.run(asked)), strict=True):
        right = expected(changed, engine, request)
        assert_close(done.probabilities, right)
        plain = expected(model, engine, request)
        moved = max(moved, *(abs(plain[label] - right[label]) for label in right))
    assert moved > 0.05
    engine.close()


def test_an_adapter_in_bfloat16_is_near(tiny: Any, tmp_path: Path) -> None:
    """It is more columns of its matrix there, which a request can still turn off."""
    _, model, path = tiny
    changed = adapter_of(model, path, tmp_path / "adapter.gguf")
    engine = OpenVINOEngine(path, adapters=[tmp_path / "adapter.gguf"], dtype="bfloat16")
    asked = requests()
    with_it = by_index(engine.run(asked))
    without = by_index(engine.run([replace(request, adapter=None) for request in asked]))
    moved = 0.0
    for request, on, off in zip(asked, with_it, without, strict=True):
        right, plain = (expected(one, engine, request) for one in (changed, model))
        assert_close(on.probabilities, right, within=0.05)
        assert_close(off.probabilities, plain, within=0.05)
        moved = max(moved, *(abs(plain[label] - right[label]) for label in right))
    assert moved > 0.1
    engine.close()


@pytest.mark.parametrize(("dtype", "within"), [("float32", 1e-3), ("bfloat16", 0.05)])
def test_each_of_two_adapters(dtype: Any, within: float, tiny: Any, tmp_path: Path) -> None:
    """Of different ranks."""
    _, model, path = tiny
    changed = adapter_of(model, path, tmp_path / "one.gguf")
    other = adapter_of(model, path, tmp_path / "two.gguf", rank=6)
    both = [tmp_path / "one.gguf", tmp_path / "two.gguf"]
    engine = OpenVINOEngine(path, adapters=both, dtype=dtype)
    asked = requests()
    apart = 0.0
    for number, one in ((0, changed), (1, other), (None, model), (0, changed)):
        for request, done in zip(
            asked, by_index(engine.run([replace(r, adapter=number) for r in asked])), strict=True
        ):
            right = expected(one, engine, request)
            assert_close(done.probabilities, right, within=within)
            against = expected(changed, engine, request)
            apart = max(apart, *(abs(against[label] - right[label]) for label in right))
    assert apart > 0.1
    engine.close()


def test_a_tree_goes_on_from_what_the_one_before_has_read(
    tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mene.engines.openvino.state.PIECE", 7)
    goes_on_from_the_tree_before(tiny[0]._model, tolerance=1e-4)


def test_a_row_with_gaps_is_rewound_by_its_tokens(tiny: Any) -> None:
    """One of a padded batch lost the tokens behind its gap."""
    own = tiny[0]._model
    long, short = own.ids(" ".join(WORDS)), own.ids("Paris is big.")
    batch = own.empty(2)
    batch.feed([long, short])
    row = batch.select([1])
    row.rewind([len(short) - 1])
    assert row.lengths() == [len(short) - 1]
    alone = own.empty(1)
    right = alone.feed([short])
    np.testing.assert_allclose(row.feed([short[-1:]]), right, atol=1e-4)


def test_the_program_ends_while_a_thread_reads(tiny: Any) -> None:
    """A daemon thread inside OpenVINO ended the process with SIGABRT."""
    code = f"""
import sys, threading, time
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_openvino import OpenVINOEngine, Path, requests
engine = OpenVINOEngine(Path({str(tiny[2])!r}))
work = lambda: list(engine.run(requests(count=200, words=900)))
threading.Thread(target=work, daemon=True).start()
time.sleep(0.5)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_control_tokens_in_text_are_text(tiny: Any) -> None:
    own = tiny[0]._model
    marker = "<|im_end|>"
    assert len(own.ids(marker)) == 1
    assert len(own.tokenize(marker)) > 1
    assert own.decode(own.tokenize(marker)) == marker
    assert marker in tiny[0].control_tokens
