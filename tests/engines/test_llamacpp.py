"""The embedded engine, on the last layers of the real small model, against Transformers on the same weights."""

from __future__ import annotations

import gzip
import json
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from tiny import mini_gguf

from mene import Judge, Sample
from mene.engines.base import Completion, Request
from mene.engines.llamacpp.engine import LlamaCppEngine
from mene.engines.llamacpp.process import Process
from mene.errors import ContextOverflow, EngineError, ModelError
from mene.message import Message
from mene.weights.convert import convert
from mene.weights.gguf_header import read_header

YES_NO = ("Yes", "No")
TEXTS = [
    "Is the sky blue? Answer Yes or No.",
    "Rate this answer: 'Paris is the capital of France.' " + "It is a well known fact. " * 20,
    "Which label fits the text 'I love it'?",
]
SCALES = [
    YES_NO,
    tuple("12345"),
    tuple(map(str, range(11))),
    ("fully supported", "partly supported", "not supported"),
    ("zebra crossing", "xylophone", "quixotic"),  # labels no model would think of
    ("はい", "いいえ", "👎"),  # their tokens end inside characters
]


def request_of(text: str, labels=YES_NO, index: int = 0, **more) -> Request:
    return Request(index, (Message("user", text),), labels, "**Reasoning:**", "**Result:**", **more)


@pytest.fixture(scope="module")
def engine(short_model):
    engine = LlamaCppEngine(short_model, slots=1)
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def float_model(short_model) -> Path:
    """The same weights in float32: llama.cpp rounds activations to 8 bits where weights are Q8_0,
    and that noise is the model's, not the label reading's."""
    return convert(short_model, "F32")


@pytest.fixture(scope="module")
def float_engine(float_model):
    engine = LlamaCppEngine(float_model)
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def reference(float_model):
    """Transformers' float32 forward pass on the same file."""
    import torch
    import transformers

    where = {"gguf_file": float_model.name}
    model = transformers.AutoModelForCausalLM.from_pretrained(
        float_model.parent, dtype=torch.float32, **where
    )
    tokenizer = transformers.AutoTokenizer.from_pretrained(float_model.parent, **where)
    return model, tokenizer


def by_forward_pass(reference, request: Request) -> dict[str, float]:
    """The definition of a label's probability, by brute force: one pass per label."""
    import torch

    model, tokenizer = reference
    messages = [{"role": m.role, "content": m.content} for m in request.messages]
    chat = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    before = tokenizer(chat, add_special_tokens=False).input_ids
    paths = {
        label: tokenizer(f"{request.cue} {label}", add_special_tokens=False).input_ids
        for label in request.labels
    }
    skip = len(tokenizer(request.cue, add_special_tokens=False).input_ids)
    mass = {}
    for label, path in paths.items():
        with torch.no_grad():
            logits = model(torch.tensor([before + path])).logits[0].double().log_softmax(-1)
        places = range(len(before) + skip, len(before) + len(path))
        mass[label] = sum(logits[p - 1, path[p - len(before)]].item() for p in places)
    mass = {label: 2.718281828459045**value for label, value in mass.items()}
    for label, path in paths.items():
        longer = [o for o, p in paths.items() if len(p) > len(path) and p[: len(path)] == path]
        mass[label] -= sum(mass[o] for o in longer)
    total = sum(mass.values())
    return {label: value / total for label, value in mass.items()}


@pytest.mark.parametrize("labels", SCALES, ids=lambda labels: labels[-1])
def test_probabilities_equal_a_forward_pass_in_transformers(
    float_engine, reference, labels
) -> None:
    requests = [request_of(text, labels, i) for i, text in enumerate(TEXTS)]
    for done in float_engine.run(requests):
        expected = by_forward_pass(reference, requests[done.index])
        assert done.error is None
        assert sum(done.probabilities.values()) == pytest.approx(1)
        assert list(done.probabilities) == list(labels)
        for label, p in expected.items():
            assert done.probabilities[label] == pytest.approx(p, abs=1e-2)


def test_same_input_same_verdict_whatever_is_cached(engine) -> None:
    shared = "A long shared beginning. " * 40
    first = request_of(shared + "The end: is it good?")
    other = request_of("something else entirely")

    def ask(*requests: Request) -> Completion:
        return list(engine.run(requests))[-1]

    alone, half_cached, again = (
        ask(other, first),
        ask(request_of(shared + "Another"), first),
        ask(first),
    )
    assert alone.usage.cached_tokens < half_cached.usage.cached_tokens
    assert alone.probabilities == half_cached.probabilities == again.probabilities


@pytest.mark.parametrize("slots", [1, 2])
def test_few_or_many_uncached_tokens_round_alike(short_model, slots: int) -> None:
    """Small batches take other kernels, see ``_read_evenly``; seen: a label at 0.59 or 0.63."""
    engine = LlamaCppEngine(short_model, slots=slots)
    start, other = "A long shared beginning. " * 70, "Something else entirely. " * 70

    def ask(before: str, request: Request) -> Completion:
        next(engine.run([request_of(before)]))  # slot 0 ...
        return next(engine.run([request]))  # ... and slot 0 again

    for words in (2, 55, 530):
        last = request_of(start + "word " * words)
        cold, warm = ask(other, last), ask(start + "different", last)
        assert cold.usage.prompt_tokens == warm.usage.prompt_tokens
        assert cold.usage.cached_tokens + 200 < warm.usage.cached_tokens
        assert cold.probabilities == warm.probabilities
    engine.close()


def test_shared_start_is_computed_once_for_all_slots(short_model) -> None:
    engine = LlamaCppEngine(short_model, slots=4)
    shared = "You are a judge with many rules. " * 40
    done = list(engine.run([request_of(f"{shared} Row {i}: good?", index=i) for i in range(12)]))
    engine.close()
    computed = sum(c.usage.prompt_tokens - c.usage.cached_tokens for c in done)
    length = done[0].usage.prompt_tokens
    assert {c.index for c in done} == set(range(12))
    assert computed < 2 * length + 12 * 30  # without sharing: at least 4 times the length


def test_critique_stops_at_the_limit_and_is_repeatable(engine) -> None:
    request = request_of(TEXTS[1], critique_tokens=24)
    one, two = next(engine.run([request])), next(engine.run([request]))
    assert one.critique == two.critique
    assert one.critique
    assert one.probabilities == two.probabilities
    assert one.notes == ["critique cut at 24 tokens"]
    assert one.usage.completion_tokens == 24
    alone = next(engine.run([replace(request, choose=False)]))
    assert alone.critique == one.critique
    assert (alone.label, alone.probabilities, alone.error) == (None, None, None)
    assert alone.usage.completion_tokens == 24
    warm = [next(engine.run([replace(request, temperature=1.0, seed=s)])) for s in (1, 1, 2)]
    assert warm[0].critique == warm[1].critique != warm[2].critique


def test_a_row_that_is_too_long_is_an_error_with_its_size(short_model) -> None:
    engine = LlamaCppEngine(short_model, context=256)
    requests = [request_of("word " * 400, index=0), request_of("fine", index=1)]
    requests.append(request_of("word " * 400, index=2, critique_tokens=8))
    done = {c.index: c for c in engine.run(requests)}
    engine.close()
    assert isinstance(done[0].error, ContextOverflow)
    assert isinstance(done[2].error, ContextOverflow)
    assert "4" in str(done[0].error)
    assert "256" in str(done[0].error)
    assert done[1].label


def test_bad_model_files(tmp_path) -> None:
    with pytest.raises(ModelError, match="no such model"):
        read_header(tmp_path / "none.gguf")
    (tmp_path / "x.gguf").write_bytes(b"hello world, not a model")
    with pytest.raises(ModelError, match="not a GGUF"):
        LlamaCppEngine(tmp_path / "x.gguf")
    (tmp_path / "cut.gguf").write_bytes(
        b"GGUF\x03\x00\x00\x00" + b"\x10\x00\x00\x00\x00\x00\x00\x00" * 3
    )
    with pytest.raises(ModelError, match="damaged"):
        LlamaCppEngine(tmp_path / "cut.gguf")


def test_a_model_cut_off_in_the_weights_is_refused(short_model, tmp_path) -> None:
    path = tmp_path / "half.gguf"
    path.write_bytes(short_model.read_bytes()[: 30 << 20])
    with pytest.raises(ModelError, match="cannot load|damaged"):
        LlamaCppEngine(path)


def test_embedded_and_served_agree_on_real_rows(short_model, bench_data) -> None:
    """Same weights, 40 real pairs: at least 38 labels the same. Embedded engines: ``test_every_engine.py``."""
    import xllamacpp

    from mene.engines.remote.openai import OpenAIEngine

    with gzip.open(bench_data / "hhh_alignment.jsonl.gz", "rt", encoding="utf-8") as file:
        samples = [Sample.from_row(json.loads(line)) for line in sorted(file, key=len)[:40]]
    params = xllamacpp.CommonParams()  # type: ignore[attr-defined]
    params.model.path = str(short_model)
    params.n_ctx, params.port, params.verbosity = 8192, 0, -1
    # Two threads spin while they wait for each other.
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    server = xllamacpp.Server(params)  # type: ignore[attr-defined]
    engines = {
        "llamacpp": LlamaCppEngine(short_model),
        "openai": OpenAIEngine("nano", server.listening_address + "/v1", concurrency=1),
    }
    labels = {}
    for name, engine in engines.items():
        judge = Judge("openai:x@http://localhost", engine=engine, template="prefix", mode="verdict")
        verdicts = list(judge.judge(samples, "preference"))
        assert [v.error for v in verdicts] == [None] * 40
        labels[name] = [v.label for v in verdicts]
        engine.close()
    same = sum(a == b for a, b in zip(labels["llamacpp"], labels["openai"], strict=True))
    assert same >= 38, f"they agree on {same} of 40"


def test_what_is_abandoned_ends_at_once_and_bends_nothing(engine) -> None:
    request = request_of("Which? " + "word " * 150)
    alone = next(engine.run([request])).probabilities
    heard: list[str] = []
    begun, stop = threading.Event(), threading.Event()

    def hear(piece: str) -> None:
        heard.append(piece)
        begun.set()
        stop.set()

    long = request_of(
        "Tell me all. " + "word " * 300, critique_tokens=4000, choose=False, hear=hear
    )
    assert not list(engine.run([long], stop))
    assert next(engine.run([request])).probabilities == alone
    begun.clear()
    quick = engine.run([request_of("short"), long])
    next(quick)
    begun.wait(60)
    quick.close()
    assert next(engine.run([request])).probabilities == alone
    assert 2 <= len(heard) < 2000


def test_texts_without_a_label_are_written_side_by_side(short_model) -> None:
    engine = LlamaCppEngine(short_model, writers=3, context=400)
    verdict = request_of("Is it good? " + "word " * 60)
    before = next(engine.run([verdict])).probabilities
    asked = [request_of(f"Say {i}.", index=i, critique_tokens=6, choose=False) for i in range(4)]
    # Together these need more than the context holds, and the last one more than half of it alone.
    asked += [
        request_of("word " * n, index=4 + i, critique_tokens=6, choose=False)
        for i, n in enumerate((80, 90, 100, 240))
    ]
    done = list(engine.run(asked))
    assert {c.index for c in done} == set(range(8))
    assert all(c.critique and c.error is None and c.label is None for c in done)
    assert next(engine.run([verdict])).probabilities == before
    engine.close()


def test_texts_side_by_side_read_their_common_start_once(short_model) -> None:
    """llama.cpp now and then drops a cache that was restored, above all in its first run, and then reads it again."""

    def read_and_whole() -> tuple[int, int]:
        engine = LlamaCppEngine(short_model, writers=3, context=1500)
        together = threading.Barrier(3)

        def asked(index: int) -> Request:
            """Its first piece is heard when all of them are being written."""
            met: list[int] = []
            hear = lambda _: met or met.append(together.wait(120))  # noqa: E731
            more = {"critique_tokens": 6, "choose": False, "hear": hear}
            return request_of("word " * 150 + str(index), index=index, **more)

        done = list(engine.run([asked(i) for i in range(3)]))
        engine.close()
        assert [c.notes for c in done] == [["critique cut at 6 tokens"]] * 3
        read = sum(c.usage.prompt_tokens - c.usage.cached_tokens for c in done)
        # One of them has the common start on its account too.
        return read, min(c.usage.prompt_tokens for c in done)

    for _ in range(10):
        read, whole = read_and_whole()
        if whole < read < 2 * whole:
            return
    pytest.fail(f"read {read} tokens, of prompts of {whole}")


def test_a_closed_engine_ends_what_is_under_way_and_says_so(short_model) -> None:
    engine = LlamaCppEngine(short_model)
    pulled = []
    running = engine.run(
        pulled.append(i) or request_of(f"{i} " + "word " * 400, index=i) for i in range(50)
    )
    next(running)
    engine.close()
    assert len(pulled) < 10
    for ask in (lambda: list(running), lambda: list(engine.run([request_of("x")]))):
        with pytest.raises(ModelError, match="was closed; open a new one"):
            ask()
    with pytest.raises(ModelError, match="was closed"):
        engine.prompt(request_of("x"))


@pytest.mark.posix
def test_a_row_that_ends_the_process_fails_alone(short_model) -> None:
    engine = LlamaCppEngine(short_model)
    asked = [request_of("word " * 7000, index=0), request_of("fine", index=1)]

    def kill() -> None:
        while engine.reading is None:
            time.sleep(0.001)
        engine._process.alive()._child.kill()

    alone = next(engine.run(asked[1:])).probabilities
    threading.Thread(target=kill).start()
    done = {c.index: c for c in engine.run(asked)}
    assert "llama.cpp ended by SIGKILL" in str(done[0].error)
    assert done[1].probabilities == alone
    engine.close()


@pytest.mark.posix
def test_ctrl_c_while_the_model_loads(short_model) -> None:
    """Python held its lock until the model was there, and a signal at the wrong moment hung for ever."""
    code = (
        "import sys; from pathlib import Path; from mene.engines.llamacpp.engine import LlamaCppEngine\n"
        "print('go', flush=True)\nwhile True: LlamaCppEngine(Path(sys.argv[1])).close()"
    )
    for number, wait in ((signal.SIGINT, 0.0), (signal.SIGINT, 0.3), (signal.SIGTERM, 0.15)):
        child = subprocess.Popen(
            [sys.executable, "-c", code, str(short_model)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(wait)
        child.send_signal(number)
        assert child.wait(timeout=60) in (-number, 1)
        child.stdout.close()


def test_labels_that_the_tokeniser_cannot_tell_apart_fail_the_row(engine) -> None:
    engine._texts._paths.clear()
    tokenize, engine._texts._tokenize = (
        engine._texts._tokenize,
        lambda text, special=False: [1, 2, 3],
    )
    try:
        [done] = engine.run([request_of("x", ("Yes", "yes"))])
    finally:
        engine._texts._tokenize = tokenize
    assert "cannot tell these labels apart" in str(done.error)


def test_an_engine_closed_at_once_does_not_hang(short_model) -> None:
    """A server told to stop before its loop had begun never stopped (about one start in four)."""
    for _ in range(2):
        LlamaCppEngine(short_model).close()


def test_a_process_whose_parent_is_gone_while_it_loads_ends(short_model, monkeypatch) -> None:
    children: list[subprocess.Popen[bytes]] = []

    def leave(process: Process, settings: dict[str, object]) -> dict[str, object]:
        child = process._child
        children.append(child)
        assert child.stdin is not None and child.stdout is not None
        child.stdin.write(json.dumps(settings).encode() + b"\n")
        child.stdin.close()
        child.stdout.close()
        child.wait(timeout=10)
        return {}

    monkeypatch.setattr(Process, "_ask", leave)
    with pytest.raises(ModelError):
        LlamaCppEngine(short_model)
    assert children[0].returncode == 0


def test_a_template_that_ends_for_one_row_alone_costs_that_row(tmp_path) -> None:
    """llama.cpp rendered it, and its process ended, with all other rows."""
    endless = "{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}"
    template = (
        "{% for m in messages %}{{ bos_token }}{{ m.content }}{% if 'dog' in m.content %}" + endless
    )
    path = mini_gguf(
        tmp_path / "m.gguf",
        tokenizer__chat_template=template + "{% endif %}{% endfor %}<think>\n",
        tokenizer__ggml__add_bos_token=True,
    )
    with closing(LlamaCppEngine(path, context=512)) as engine:
        asked = [
            request_of(f"a {animal}", ("yes", "no"), i) for i, animal in enumerate(("dog", "goat"))
        ]
        failed, fine = sorted(engine.run(asked), key=lambda done: done.index)
        assert isinstance(failed.error, EngineError)
        assert "chat template refuses the messages: more than 200,000 steps" in str(failed.error)
        assert fine.label in ("yes", "no")
        # The text is the template's, but for the begin of text that llama.cpp writes itself.
        assert engine.prompt(asked[1]) == "a goat<think>\n\n</think>\n\n"
        assert engine.count(asked[1]) == 1 + len(
            engine._texts._tokenize("a goat<think>\n\n</think>\n\n")
        )
