"""The Transformers engine against plain forward passes, on the last layers of the real small model and on tiny ones."""

from __future__ import annotations

import math
import threading
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from chained import goes_on_from_the_tree_before

from mene.engines.base import Completion, Request
from mene.engines.in_process import run as in_process_run
from mene.engines.labels import label_paths
from mene.engines.transformers.engine import TransformersEngine
from mene.errors import ContextOverflow, EngineError, MeneError, ModelError, UsageError
from mene.message import Message
from mene.weights.cache import file_identity
from mene.weights.gguf_tokenizer import READING

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

YES_NO = ("yes", "no")
LIKERT = tuple("12345")
ELEVEN = tuple(str(i) for i in range(11))
CLASSES = ("partly supported", "fully supported", "not supported")
SCALES = [YES_NO, LIKERT, ELEVEN, CLASSES, ("1", "10"), ("good", "good enough", "bad")]
ANSWERS = [
    "Paris.",
    "The capital of France is Paris, a city on the Seine with two million people.",
    "I do not know.",
    "Lyon, I think, but it could as well be Marseille or Paris; ask somebody who has been there.",
    "Berlin!",
]


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MENE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def real(short_model: Path, own_cache: None) -> Iterator[TransformersEngine]:
    engine = TransformersEngine(str(short_model), device="cpu")
    yield engine
    engine.close()


def save_tiny(folder: Path, tokenizer: Any, kind: str = "Llama", **settings: Any) -> Path:
    """A model of random weights, large enough for its answers to differ."""
    torch.manual_seed(1)
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=512,
        initializer_range=0.3,
        tie_word_embeddings=False,
        **settings,
    )
    model = getattr(transformers, f"{kind}ForCausalLM")(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def tiny_folder(real: TransformersEngine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("tiny"), real._model.tokenizer)


@pytest.fixture
def tiny(tiny_folder: Path) -> TransformersEngine:
    return TransformersEngine(str(tiny_folder), device="cpu")


def ask(
    answer: str = ANSWERS[0], labels: tuple[str, ...] = YES_NO, index: int = 0, **settings: Any
) -> Request:
    return Request(
        index=index,
        messages=(
            Message("system", "You judge answers."),
            Message("user", f"Question: what is the capital of France?\nAnswer: {answer}\nRight?"),
        ),
        labels=labels,
        opening="**Reasoning:**",
        cue="**Result:**",
        **settings,
    )


def questions(**settings: Any) -> list[Request]:
    return [ask(answer, index=i, **settings) for i, answer in enumerate(ANSWERS)]


def by_index(completions: Generator[Completion, None, None]) -> dict[int, Completion]:
    found = list(completions)
    assert len({c.index for c in found}) == len(found)
    return {c.index: c for c in found}


def chances(completion: Completion) -> dict[str, float]:
    assert completion.error is None, completion.error
    assert completion.probabilities is not None
    return completion.probabilities


def plain(
    engine: TransformersEngine, request: Request, critique: str | None = None
) -> dict[str, float]:
    """Label probabilities from one forward pass per label: no cache, no padding, no batch."""
    tokenizer, model = engine._model.tokenizer, engine._model.model
    text = tokenizer.apply_chat_template(
        [m._asdict() for m in request.messages], tokenize=False, add_generation_prompt=True
    )
    if critique is not None:
        text = (text + request.opening + critique).rstrip() + "\n\n"
    before = tokenizer.encode(text, add_special_tokens=False)
    paths = label_paths(engine._model.tokenize, request.cue, request.labels)
    before += paths.shared
    mass = {}
    for label, path in paths.paths.items():
        with torch.no_grad():
            logits = model(torch.tensor([before + list(path)])).logits[0].float()
        logs = logits.log_softmax(-1)
        steps = range(len(path))
        mass[label] = math.exp(sum(logs[len(before) - 1 + i, path[i]].item() for i in steps))
    own = {
        label: mass[label]
        - sum(
            mass[longer]
            for longer, q in paths.paths.items()
            # Only the next longer label: what is nested deeper is part of its mass.
            if len(q) > len(p)
            and q[: len(p)] == p
            and not any(
                len(p) < len(m) < len(q) and m[: len(p)] == p and q[: len(m)] == m
                for m in paths.paths.values()
            )
        )
        for label, p in paths.paths.items()
    }
    return {label: p / sum(own.values()) for label, p in own.items()}


@pytest.mark.parametrize("labels", SCALES, ids=" ".join)
def test_probabilities_of_the_real_model(real: TransformersEngine, labels: tuple[str, ...]) -> None:
    requests = questions(labels=labels)
    found = by_index(real.run(requests))
    for request in requests:
        completion = found[request.index]
        expected = plain(real, request)
        assert chances(completion) == pytest.approx(expected, abs=1e-4)
        assert list(chances(completion)) == list(labels)
        assert completion.label == max(expected, key=expected.__getitem__)
        assert completion.critique is None


@pytest.mark.parametrize("labels", SCALES, ids=" ".join)
def test_probabilities_of_a_tiny_model(tiny: TransformersEngine, labels: tuple[str, ...]) -> None:
    requests = questions(labels=labels)
    found = by_index(tiny.run(requests))
    for request in requests:
        assert chances(found[request.index]) == pytest.approx(plain(tiny, request), abs=1e-4)


def test_the_neighbours_in_a_batch_do_not_matter(real: TransformersEngine) -> None:
    requests = questions(labels=CLASSES)
    together = by_index(real.run(requests))
    for request in requests:
        real._start = None
        [alone] = real.run([request])
        assert chances(together[request.index]) == pytest.approx(chances(alone), abs=1e-4)


def test_scales_and_modes_mix_in_one_run(tiny: TransformersEngine) -> None:
    requests = [
        ask(answer, labels, index=10 * i + j, critique_tokens=4 * (j % 2))
        for i, answer in enumerate(ANSWERS)
        for j, labels in enumerate(SCALES)
    ]
    found = by_index(tiny.run(iter(requests)))
    assert set(found) == {r.index for r in requests}
    for request in requests:
        [alone] = tiny.run([request])
        assert chances(found[request.index]) == pytest.approx(chances(alone), abs=1e-4)


def test_small_batches_give_the_same(
    tiny: TransformersEngine, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = by_index(tiny.run(questions()))
    small = TransformersEngine(str(tiny_folder), device="cpu", batch_tokens=40)
    monkeypatch.setattr("mene.engines.in_process.batches.WINDOW", 3)
    sizes = []
    read = in_process_run._attempt
    monkeypatch.setattr(
        in_process_run,
        "_attempt",
        lambda rows, *more: (sizes.append(len(rows)), read(rows, *more))[1],
    )
    parts = by_index(small.run(questions()))
    assert len(sizes) > 2
    for index, completion in whole.items():
        assert chances(parts[index]) == pytest.approx(chances(completion), abs=1e-4)


def test_a_tree_goes_on_from_what_the_one_before_has_read(tiny: TransformersEngine) -> None:
    goes_on_from_the_tree_before(tiny._model, tolerance=1e-4)


@pytest.mark.parametrize("size", [3, 16, 50])
@pytest.mark.parametrize("labels", [YES_NO, CLASSES])
def test_trees_read_in_pieces_give_the_same(
    tiny: TransformersEngine, monkeypatch: pytest.MonkeyPatch, labels: tuple[str, ...], size: int
) -> None:
    whole = by_index(tiny.run(questions(labels=labels)))
    monkeypatch.setattr("mene.engines.transformers.state.CPU_CHUNK", size)
    for kept in (True, False):  # with and without a shared start before the tree
        if not kept:
            monkeypatch.setattr("mene.engines.in_process.run.common_start", lambda *_: 0)
        tiny._start = None
        parts = by_index(tiny.run(questions(labels=labels)))
        for index, completion in whole.items():
            assert chances(parts[index]) == pytest.approx(chances(completion), abs=1e-4)


def test_requests_are_pulled_window_by_window(
    tiny: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mene.engines.in_process.batches.WINDOW", 2)
    pulled = []

    def source() -> Iterator[Request]:
        for request in questions():
            pulled.append(request.index)
            yield request

    stream = tiny.run(source())
    next(stream)
    assert pulled == [0, 1]
    stream.close()
    assert pulled == [0, 1]


def test_the_shared_start_is_computed_once(tiny: TransformersEngine) -> None:
    fed = []
    forward = tiny._model.model.forward

    def counting(**arguments: Any) -> Any:
        fed.append(arguments["input_ids"].numel())
        return forward(**arguments)

    tiny._model.model.forward = counting
    found = by_index(tiny.run(questions()))
    assert tiny._start is not None
    shared = len(tiny._start.tokens)
    lengths = {i: c.usage.prompt_tokens for i, c in found.items()}
    assert shared > 20
    assert sorted(c.usage.cached_tokens for c in found.values()) == [0] + 4 * [shared]
    assert sum(fed) == sum(c.usage.prompt_tokens - c.usage.cached_tokens for c in found.values())
    assert sum(fed) == sum(lengths.values()) - 4 * shared
    # It stays for the next run, and what was not shared then is computed on its own.
    fed.clear()
    again = by_index(tiny.run(questions()))
    assert {c.usage.cached_tokens for c in again.values()} == {shared}
    assert sum(fed) == sum(lengths.values()) - 5 * shared
    for index, completion in found.items():
        assert chances(again[index]) == pytest.approx(chances(completion), abs=1e-4)
        # The same as with nothing shared.
        fed.clear()
        tiny._start = None
        [alone] = tiny.run([questions()[index]])
        assert alone.usage.cached_tokens == 0
        assert sum(fed) == lengths[index]
        assert chances(alone) == pytest.approx(chances(completion), abs=1e-4)


def test_greedy_critique_is_that_of_generate(real: TransformersEngine) -> None:
    requests = questions(labels=LIKERT, critique_tokens=12)[:3]
    found = by_index(real.run(requests))
    for request in requests:
        ids = real._model.ids(real.prompt(request))
        assert real.prompt(request).endswith("assistant\n**Reasoning:**")
        assert real.count(request) == len(ids)
        output = real._model.model.generate(
            torch.tensor([ids]),
            attention_mask=torch.ones(1, len(ids)),
            do_sample=False,
            max_new_tokens=12,
        )
        text = real._model.tokenizer.decode(output[0, len(ids) :], skip_special_tokens=True)
        completion = found[request.index]
        critique = text.partition(request.cue)[0]
        assert completion.critique == critique.strip()
        assert 0 < completion.usage.completion_tokens <= 12
        expected = plain(real, request, critique)
        assert chances(completion) == pytest.approx(expected, abs=1e-4)


class Script:
    """Makes the model write given tokens, to see where a critique ends."""

    def __init__(self, engine: TransformersEngine, texts: dict[int, str]) -> None:
        self.tokens = {i: engine._model.tokenizer.encode(t) for i, t in texts.items()}

    def __call__(self, row: Any, scores: Any) -> int:
        return self.tokens[row.request.index][len(row.written)]


def test_critiques_stop_at_cue_end_and_limit(
    tiny: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = questions(labels=CLASSES, critique_tokens=20)[:4]
    texts = {
        0: " It is right.\n\n**Result:** fully supported and more and more",
        1: " Short.<|im_end|>",
        2: " and so on" * 20,
        3: "**Result:**",
    }
    monkeypatch.setattr("mene.engines.in_process.critiques._next", Script(tiny, texts))
    found = by_index(tiny.run(requests))
    critiques = {0: " It is right.", 1: " Short.", 2: (" and so on" * 7)[:-3], 3: ""}
    assert found[2].usage.completion_tokens == 20
    assert found[2].notes == ["critique cut at 20 tokens"]
    assert all(not found[i].notes for i in (0, 1, 3))
    for request in requests:
        completion = found[request.index]
        assert completion.critique == critiques[request.index].strip()
        expected = plain(tiny, request, critiques[request.index])
        assert chances(completion) == pytest.approx(expected, abs=1e-4)


def test_sampling_is_seeded(tiny: TransformersEngine) -> None:
    requests = questions(critique_tokens=10, temperature=1.0, seed=7)
    first, second = by_index(tiny.run(requests)), by_index(tiny.run(requests))
    texts = {i: c.critique for i, c in first.items()}
    assert texts == {i: c.critique for i, c in second.items()}
    [alone] = tiny.run([requests[1]])
    assert alone.critique == texts[1]
    other = by_index(tiny.run(questions(critique_tokens=10, temperature=1.0, seed=8)))
    assert texts != {i: c.critique for i, c in other.items()}


def test_a_row_that_is_too_long_fails_alone(tiny: TransformersEngine) -> None:
    assert tiny.context == 512
    requests = [
        *questions(),
        ask("very " * 600, index=9),
        ask("a " * 600, index=8, critique_tokens=5),
    ]
    found = by_index(tiny.run(requests))
    for index in (8, 9):
        error = found[index].error
        assert isinstance(error, ContextOverflow)
        assert found[index].label is None
        assert "window 512" in str(error)
    assert all(found[i].label in YES_NO for i in range(5))


def test_a_critique_is_shortened_to_fit(tiny: TransformersEngine) -> None:
    request = ask("very " * 400, critique_tokens=200)
    [completion] = tiny.run([request])
    assert completion.error is None
    assert completion.usage.prompt_tokens + completion.usage.completion_tokens <= 512 - 32
    assert completion.notes


def test_out_of_memory_halves_the_batch(
    tiny: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = by_index(tiny.run(questions()))
    forward, read, sizes = tiny._model.model.forward, in_process_run._attempt, []
    monkeypatch.setattr(
        in_process_run,
        "_attempt",
        lambda rows, *more: (sizes.append(len(rows)), read(rows, *more))[1],
    )

    def small(**arguments: Any) -> Any:
        if sizes and sizes[-1] > 2:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")
        return forward(**arguments)

    monkeypatch.setattr(tiny._model.model, "forward", small)
    found = by_index(tiny.run(questions()))
    assert sizes[:3] == [5, 3, 2]
    for index, completion in expected.items():
        assert chances(found[index]) == pytest.approx(chances(completion), abs=1e-4)

    def never(**_: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(tiny._model.model, "forward", never)
    found = by_index(tiny.run(questions()))
    assert all(isinstance(c.error, EngineError) for c in found.values())
    assert "out of memory" in str(found[0].error)


def test_any_other_failure_is_the_engine_s(
    tiny: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(**_: Any) -> Any:
        raise RuntimeError("device-side assert")

    monkeypatch.setattr(tiny._model.model, "forward", broken)
    with pytest.raises(MeneError, match="device-side assert"):
        list(tiny.run(questions()))


@pytest.mark.parametrize("window", [16, 70, 4096])
def test_sliding_windows(real: TransformersEngine, tmp_path: Path, window: int) -> None:
    folder = save_tiny(tmp_path, real._model.tokenizer, "Mistral", sliding_window=window)
    engine = TransformersEngine(str(folder), device="cpu")
    assert engine._model.sliding_window == window
    for tokens in (0, 6):
        requests = questions(labels=ELEVEN, critique_tokens=tokens)
        found = by_index(engine.run(requests))
        for request in requests:
            critique = found[request.index].critique
            expected = plain(engine, request, critique and f" {critique}")
            if tokens:  # the text as written may have other spaces at its ends
                engine._start = None
                [alone] = engine.run([request])
                expected = chances(alone)
            assert chances(found[request.index]) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("kind", ["Qwen2", "Gemma2", "Qwen3", "GPTNeoX", "Phi3"])
def test_other_architectures(real: TransformersEngine, tmp_path: Path, kind: str) -> None:
    settings = {"pad_token_id": 2} if kind == "Phi3" else {}
    engine = TransformersEngine(str(save_tiny(tmp_path, real._model.tokenizer, kind, **settings)))
    requests = questions(labels=CLASSES)
    found = by_index(engine.run(requests))
    for request in requests:
        assert chances(found[request.index]) == pytest.approx(plain(engine, request), abs=1e-4)


def test_bfloat16_has_a_float32_head(tiny_folder: Path, tiny: TransformersEngine) -> None:
    half = TransformersEngine(str(tiny_folder), device="cpu", dtype="bfloat16")
    assert half._model.model.dtype == torch.bfloat16
    with torch.no_grad():
        assert half._model.model(torch.tensor([[5, 6, 7]])).logits.dtype == torch.float32
    exact, rough = by_index(tiny.run(questions())), by_index(half.run(questions()))
    for index, completion in exact.items():
        assert chances(rough[index]) == pytest.approx(chances(completion), abs=0.1)
    assert half.identity.endswith(":bfloat16")
    assert tiny.identity.endswith(":float32")


def test_control_tokens_and_identity(real: TransformersEngine, short_model: Path) -> None:
    assert {"<|im_start|>", "<|im_end|>", "<|endoftext|>", "<repo_name>"} <= real.control_tokens
    assert real.context == 8192
    assert real.identity == f"transformers:{file_identity(short_model)}:tokens{READING}:float32"
    # Labels and cue are plain text, whatever they say.
    assert len(real._model.tokenize("<|im_end|>")) > 1
    assert len(real._model.ids("<|im_end|>")) == 1


def test_identity_follows_the_weights(
    tiny_folder: Path, tmp_path: Path, real: TransformersEngine
) -> None:
    one = TransformersEngine(str(tiny_folder)).identity
    assert one == TransformersEngine(str(tiny_folder)).identity
    folder = save_tiny(tmp_path / tiny_folder.name, real._model.tokenizer)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    model.lm_head.weight.data += 1e-3
    model.save_pretrained(folder)
    assert TransformersEngine(str(folder)).identity != one


def test_begin_of_text_is_added_where_the_tokeniser_wants_it(tiny: TransformersEngine) -> None:
    tiny._model.begin = 1
    assert tiny._model.ids("hello")[0] == 1
    assert tiny._model.ids("<|im_start|>hello") == tiny._model.tokenizer.encode("<|im_start|>hello")


def test_without_a_chat_template(tiny: TransformersEngine) -> None:
    tiny._model.tokenizer.chat_template = None
    request = Request(
        0, (Message("system", "Judge."), Message("user", "Good?")), YES_NO, "Because", "So:"
    )
    assert tiny.prompt(request) == "System: Judge.\n\nUser: Good?\n\nAssistant: "
    [completion] = tiny.run([request])
    assert completion.label in YES_NO


def test_a_template_without_a_system_role(tiny: TransformersEngine) -> None:
    tiny._model.tokenizer.chat_template = (
        "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}"
        "{% endif %}[{{ m.role }}]{{ m.content }}{% endfor %}[assistant]"
    )
    assert tiny.prompt(ask("x")).startswith("[user]You judge answers.\nQuestion:")
    tiny._model.tokenizer.chat_template = "{{ raise_exception('never') }}"
    [completion] = tiny.run([ask("x")])
    assert isinstance(completion.error, EngineError)


def test_threads_get_what_one_gets(tiny: TransformersEngine) -> None:
    def answers() -> dict[int, Any]:
        return {c.index: (c.label, c.critique, c.error) for c in tiny.run(both)}

    both = [*questions(), *questions(critique_tokens=6)]
    both = [replace(request, index=i) for i, request in enumerate(both)]
    alone = answers()
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(lambda _: answers(), range(6)))
    assert all(found == alone for found in together)


def test_a_run_that_is_stopped_or_closed_ends(tiny: TransformersEngine) -> None:
    stop = threading.Event()
    running = tiny.run(iter([*questions(critique_tokens=20), None, *questions()]), stop)
    stop.set()
    assert not list(running)
    assert len(list(tiny.run(questions()))) == len(ANSWERS)
    running = tiny.run(iter([*questions(), None, *questions()]))
    next(running)
    tiny.close()
    with pytest.raises(ModelError, match="closed"):
        list(running)


def test_a_run_that_is_carried_into_a_fork_ends(
    tiny: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = tiny.run(iter([questions()[0], None, *questions()[1:]]))
    next(running)
    monkeypatch.setattr("os.getpid", lambda: -1)
    with pytest.raises(ModelError, match="after the fork"):
        next(running)


def test_a_thought_that_the_template_opens_is_closed(tiny: TransformersEngine) -> None:
    tiny._model.tokenizer.chat_template = (
        "{{ messages[-1]['content'] }}<|im_start|>assistant\n<think>\n"
    )
    assert tiny.prompt(ask()).endswith("<think>\n\n</think>\n\n")


def test_loading_is_silent(tiny_folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    TransformersEngine(str(tiny_folder))
    out, err = capfd.readouterr()
    assert not out and not err


def test_what_cannot_be_loaded(
    tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="hf download no-one/nothing-here"):
        TransformersEngine("no-one/nothing-here")
    with pytest.raises(ModelError, match="no such file"):
        TransformersEngine(str(tmp_path / "missing.gguf"))
    (tmp_path / "broken.gguf").write_bytes(b"GGUF but not really")
    with pytest.raises(ModelError, match="damaged GGUF file"):
        TransformersEngine(str(tmp_path / "broken.gguf"))
    (tmp_path / "weights.pt").write_bytes(b"")
    with pytest.raises(ModelError, match="not a model"):
        TransformersEngine(str(tmp_path / "weights.pt"))
    with pytest.raises(ModelError, match="cannot be loaded"):
        TransformersEngine(str(tmp_path))
    with pytest.raises(UsageError, match="unknown dtype"):
        TransformersEngine(str(tiny_folder), dtype="float8")


def test_adapter(tiny_folder: Path, tiny: TransformersEngine, tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    base = transformers.AutoModelForCausalLM.from_pretrained(tiny_folder)
    settings = peft.LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    adapted = peft.get_peft_model(base, settings)
    adapted.save_pretrained(tmp_path)
    engine = TransformersEngine(str(tiny_folder), adapter=str(tmp_path))
    assert engine.identity != tiny.identity
    [found] = engine.run([ask()])
    [without] = tiny.run([ask()])
    tiny._model.model = adapted
    assert chances(found) == pytest.approx(plain(tiny, ask()), abs=1e-4)
    assert chances(found) != pytest.approx(chances(without), abs=1e-4)
    with pytest.raises(ModelError):
        TransformersEngine(str(tiny_folder), adapter=str(tiny_folder))
