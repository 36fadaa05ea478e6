"""Remote engines: a real llama.cpp server on loopback, and a scripted one that misbehaves."""

from __future__ import annotations

import asyncio
import http.server
import json
import math
import os
import signal
import threading
import time
from contextlib import closing
from dataclasses import replace
from email.utils import formatdate

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mene.engines.base import Request
from mene.engines.llamacpp.engine import LlamaCppEngine
from mene.engines.remote import prompt as remote
from mene.engines.remote.explain_fault import context_sizes
from mene.engines.remote.openai import OpenAIEngine
from mene.engines.remote.pauses import pause
from mene.errors import ContextOverflow, EngineError, ModelError
from mene.message import Message
from mene.scale import Scale

LABELS = ("Yes", "No")


def request_of(text: str = "Good?", labels=LABELS, index: int = 0, **more) -> Request:
    return Request(index, (Message("user", text),), labels, "**Reasoning:**", "**Result:**", **more)


# -- a real server --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def address(short_model):
    yield from served(short_model)


@pytest.fixture(scope="module")
def whole_address(small_model):
    """Of a model that writes words: what the short one writes is read again in other tokens."""
    yield from served(small_model)


def served(model):
    import xllamacpp

    params = xllamacpp.CommonParams()  # type: ignore[attr-defined]
    params.model.path = str(model)
    params.n_ctx, params.n_parallel, params.port, params.verbosity = 2048, 2, 0, -1
    params.flash_attn_type = xllamacpp.llama_flash_attn_type(1)  # type: ignore[attr-defined]
    # Two threads spin while they wait for each other; on a busy machine that costs seconds a token.
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    handlers = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}
    server = xllamacpp.Server(params)  # type: ignore[attr-defined]
    for number, handler in handlers.items():
        signal.signal(number, handler)
    yield server.listening_address + "/v1"


@pytest.mark.parametrize(
    "labels", [LABELS, tuple(map(str, range(11))), ("quite good", "not good"), ("はい", "いいえ")]
)
def test_a_real_server_gives_what_the_embedded_engine_gives(address, short_model, labels) -> None:
    remote_engine = OpenAIEngine("nano", address, concurrency=2)
    embedded = LlamaCppEngine(short_model)
    requests = [request_of(f"Is {i} a good number? {'word ' * i}", labels, i) for i in range(6)]
    requests.append(request_of("Why?", labels, 6, critique_tokens=12))
    theirs = {c.index: c for c in remote_engine.run(requests)}
    for mine in embedded.run(requests):
        other = theirs[mine.index]
        assert other.error is None
        assert other.label == mine.label
        assert other.probabilities == pytest.approx(mine.probabilities, abs=2e-3)
        assert other.critique == mine.critique
    assert remote_engine.prompt(requests[0]) == embedded.prompt(requests[0])
    assert remote_engine.count(requests[6]) == embedded.count(requests[6])
    assert remote_engine.context == 1024
    long = next(remote_engine.run([request_of("word " * 1500)]))
    assert isinstance(long.error, ContextOverflow)
    assert "1,024" in str(long.error)
    remote_engine.close()
    embedded.close()


def direct(root: str, prompt: list) -> dict[int, float]:
    """Log-probabilities of the likeliest next tokens, as the server tells them without any bias."""
    body = {"prompt": prompt, "n_predict": 1, "temperature": 1.0, "n_probs": 50_000}
    answer = httpx.post(root + "/completion", json=body, timeout=60).json()
    top = answer["completion_probabilities"][0]["top_logprobs"]
    return {entry["id"]: entry["logprob"] for entry in top}


@pytest.mark.parametrize("critique_tokens", [0, 8])
def test_probabilities_are_those_of_a_plain_softmax(whole_address, critique_tokens) -> None:
    root = whole_address.removesuffix("/v1")
    engine = OpenAIEngine("nano", whole_address)

    def tokens(text: str) -> list[int]:
        body = {"content": text, "add_special": False, "parse_special": False}
        return httpx.post(root + "/tokenize", json=body).json()["tokens"]

    for labels in (LABELS, tuple(map(str, range(11)))):
        request = request_of("Is the sky blue?", labels, critique_tokens=critique_tokens)
        done = next(engine.run([request]))
        assert done.error is None
        assert sum(done.probabilities.values()) == pytest.approx(1)
        text = engine.prompt(request)
        if critique_tokens:
            assert done.critique
            text += f" {done.critique}\n\n"
        written = {label: tokens(f"**Result:** {label}") for label in labels}
        logs = direct(root, [text, *written[labels[0]][:-1]])
        mass = {label: math.exp(logs[path[-1]]) for label, path in written.items() if label != "10"}
        if "1" in labels:  # "10" is "1" and then "0", and "1" is "1" and then anything else
            one, zero = written["10"][-2:]
            assert written["1"] == written["10"][:-1]
            after = direct(root, [text, *written["1"]])
            mass["10"] = math.exp(logs[one] + after[zero])
            mass["1"] -= mass["10"]
        expected = {label: mass[label] / sum(mass.values()) for label in labels}
        assert done.probabilities == pytest.approx(expected, abs=1e-3)
    engine.close()


# -- a server with a script -----------------------------------------------------------------------


def chat(
    content: object, tokens: list[tuple[str, dict[str, float]]] | None = None, end="stop", **fields
) -> dict:
    logprobs = None
    if tokens:
        logprobs = {
            "content": [
                {
                    "token": token,
                    "logprob": -0.1,
                    "bytes": None,
                    "top_logprobs": [
                        {"token": t, "logprob": p, "bytes": None} for t, p in top.items()
                    ],
                }
                for token, top in tokens
            ]
        }
    message = {"role": "assistant", "content": content, **fields}
    choice = {"index": 0, "finish_reason": end, "message": message, "logprobs": logprobs}
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    return {
        "id": "x",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [choice],
        "usage": usage,
    }


@pytest.fixture
def scripted():
    """``script``: one reply per chat call: (status, headers, body), a dict (200), "cut" or "slow"."""

    class Handler(http.server.BaseHTTPRequestHandler):
        script: list = []  # noqa: RUF012
        bodies: list = []  # noqa: RUF012
        times: list = []  # noqa: RUF012
        owner = "someone"
        models: list = []  # noqa: RUF012  statuses of the first answers to GET /models
        busy, most = 0, 0
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.models:
                self.reply(self.models.pop(0), {}, ERROR)
                return
            self.reply(200, {}, {"object": "list", "data": [{"id": "m", "owned_by": self.owner}]})

        def do_POST(self) -> None:
            self.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.times.append(time.monotonic())
            step = self.script.pop(0) if len(self.script) > 1 else self.script[0]
            Handler.busy += 1
            Handler.most = max(Handler.most, Handler.busy)
            try:
                self.act(step)
            finally:
                Handler.busy -= 1

        def act(self, step) -> None:
            if step == "cut":
                self.connection.close()
            elif step == "slow":
                over.wait(60)
                self.reply(200, {}, chat("**Result:** Yes"))
            elif isinstance(step, dict):
                self.reply(200, {}, step)
            else:
                self.reply(*step)

        def reply(self, status: int, headers: dict, body: dict | bytes) -> None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args) -> None:
            pass

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, request, client_address) -> None:
            pass

    over = threading.Event()
    Handler.script, Handler.bodies, Handler.times, Handler.models = [], [], [], []
    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Handler.url = f"http://127.0.0.1:{server.server_address[1]}/v1"  # type: ignore[attr-defined]
    yield Handler
    over.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def engine(scripted):
    engine = OpenAIEngine("m", scripted.url, retries=2, timeout_s=60, backoff_s=0.01)
    yield engine
    engine.close()


GOOD = chat("**Reasoning:** fine\n\n**Result:** Yes")
ERROR = {"error": {"message": "busy", "type": "x", "code": None}}


@pytest.mark.parametrize(
    "fault",
    [
        (429, {"retry-after": "0.2"}, ERROR),
        (500, {}, ERROR),
        (503, {}, b"gateway"),
        (200, {}, b'{"choices": [{"mess'),
        "cut",
    ],
    ids=["429", "500", "503", "garbage", "cut"],
)
def test_passing_faults_are_retried(scripted, engine, fault) -> None:
    scripted.script = [fault, GOOD]
    done = next(engine.run([request_of(critique_tokens=20)]))
    assert (done.label, done.critique, done.error) == ("Yes", "fine", None)
    assert done.probabilities is None
    assert done.usage.prompt_tokens == 7
    assert len(scripted.bodies) == 2


def test_no_answer_in_time_is_asked_for_again(scripted) -> None:
    scripted.script = ["slow", GOOD]
    with closing(OpenAIEngine("m", scripted.url, timeout_s=1, backoff_s=0.01)) as engine:
        done = next(engine.run([request_of()]))
    assert (done.label, done.error) == ("Yes", None)
    assert len(scripted.bodies) >= 2


def test_retry_after_is_honoured(scripted, engine) -> None:
    scripted.script = [(429, {"retry-after": "0.4"}, ERROR), GOOD]
    assert next(engine.run([request_of()])).label == "Yes"
    assert scripted.times[1] - scripted.times[0] >= 0.4


def test_pauses() -> None:
    in_a_minute = formatdate(time.time() + 60, usegmt=True)
    assert 58 < pause(0, {"retry-after": in_a_minute}, 0.1) < 61
    assert pause(0, {"retry-after": formatdate(0, usegmt=True)}, 0.1) <= 0.1
    assert 120 <= pause(0, {"retry-after": "86400"}, 0.1) <= 120.1
    for nonsense in ("", "soon", "nan", "-5", "Mon, 99 Foo 2020"):
        assert 0.3 <= pause(2, {"retry-after": nonsense}, 0.1) <= 0.4
    assert pause(1000, {}, 0.1) <= 120


def test_a_fault_that_stays_is_this_rows_error(scripted, engine) -> None:
    scripted.script = [(500, {}, ERROR)]
    done = next(engine.run([request_of()]))
    assert isinstance(done.error, EngineError)
    assert "run the same command again" in str(done.error)
    assert len(scripted.bodies) == 3


@pytest.mark.parametrize(
    "garbage", [b"", b"<html>hello</html>", b'{"choices": []}', b'{"a"', b"[1, 2]", b"null"]
)
def test_garbage_is_an_error_not_a_crash(scripted, engine, garbage) -> None:
    scripted.script = [(200, {}, garbage)]
    done = next(engine.run([request_of()]))
    assert isinstance(done.error, EngineError)
    assert done.label is None


@pytest.mark.parametrize(
    ("status", "message"),
    [(401, "OPENAI_API_KEY"), (403, "refuses the key"), (404, "check the name")],
)
def test_what_no_retry_can_mend_ends_the_run(scripted, engine, status, message) -> None:
    scripted.script = [(status, {}, ERROR)]
    with pytest.raises(ModelError, match=message):
        list(engine.run([request_of(index=i) for i in range(20)]))


WINDOW = "This model's maximum context length is 4096 tokens"


@pytest.mark.parametrize(
    ("text", "sizes"),
    [
        (f"{WINDOW}. However, your messages resulted in 9000 tokens.", (9000, 4096)),
        (f"{WINDOW}. However, you requested 4120 tokens (4096 in the messages)", (4120, 4096)),
        (f"'max_tokens' is too large: 99. {WINDOW} and your request has 4000 input", (4000, 4096)),
        (f"{WINDOW}. However, you requested 24 output tokens and your prompt contains at least "
         "4073 input tokens", (4073, 4096)),
        ("You passed 4097 input tokens and requested 24 output tokens. However, the model's "
         "context length is only 4096 tokens", (4097, 4096)),
        ("The decoder prompt (length 9000) is longer than the maximum model length of 4096.",
         (9000, 4096)),
        ("Input tokens exceed the configured limit of 272,000 tokens. Your messages resulted in "
         "300,001 tokens.", (300001, 272000)),
        ("the request is longer than the context window", (None, None)),
    ],
)  # fmt: skip
def test_too_long_a_prompt_is_told_with_sizes(scripted, engine, text, sizes) -> None:
    assert context_sizes(text) == sizes
    scripted.script = [(400, {}, {"error": {"message": text}})]
    done = next(engine.run([request_of()]))
    assert isinstance(done.error, ContextOverflow)
    for size in filter(None, sizes):
        assert str(size) in str(done.error).replace(",", "")
    assert len(scripted.bodies) == 1  # nothing was taken for a refused parameter


def test_an_answer_without_a_label_is_asked_again_then_an_error(scripted, engine) -> None:
    scripted.script = [chat("I like it."), GOOD]
    done = next(engine.run([request_of(critique_tokens=20)]))
    assert (done.label, done.critique, done.notes) == ("Yes", "fine", ["asked again for the label"])
    assert done.usage.prompt_tokens == 14
    assert "exactly one of: Yes, No" in scripted.bodies[1]["messages"][-1]["content"]
    scripted.script = [chat("I like it."), chat("**Result:** Yes")]
    assert next(engine.run([request_of(critique_tokens=20)])).critique == "I like it."
    scripted.script = [chat("**Result:** Yes and No")]
    done = next(engine.run([request_of(critique_tokens=20)]))
    assert done.label is None
    assert "no label in the answer after 3 tries" in str(done.error)


def test_probabilities_only_where_every_label_is_seen(scripted, engine) -> None:
    head = [(t, {}) for t in ("**", "Result", ":**")]
    scripted.script = [
        chat("**Result:** Yes", [*head, (" Yes", {" Yes": -0.2, " No": -1.8, "yes": -4.0})])
    ]
    done = next(engine.run([request_of()]))
    assert sum(done.probabilities.values()) == pytest.approx(1)
    assert done.probabilities["Yes"] > 0.8
    scripted.script = [chat("**Result:** Yes", [*head, (" Yes", {" Yes": -0.2, " maybe": -1.8})])]
    assert next(engine.run([request_of()])).probabilities is None


def test_refused_parameters_are_left_out(scripted, engine) -> None:
    scripted.script = [
        (400, {}, {"error": {"message": "logprobs is not supported with this model"}}),
        (400, {}, {"error": {"message": "Unsupported parameter: 'max_tokens'"}}),
        (422, {}, {"error": {"message": "not permitted", "param": "seed"}}),
        GOOD,
    ]
    done = next(engine.run([request_of()]))
    assert (done.label, done.notes) == ("Yes", ["the server takes no seed"])
    last = scripted.bodies[-1]
    assert not {"logprobs", "top_logprobs", "seed", "max_tokens"} & set(last)
    assert last["max_completion_tokens"] == 24


def test_vllm_gets_a_prefill_and_a_choice(scripted, engine) -> None:
    scripted.owner = "vllm"
    scripted.script = [chat(" because", None), chat(" No", [(" No", {" No": -0.1, " Yes": -2.5})])]
    done = next(engine.run([request_of(critique_tokens=20)]))
    assert (done.label, done.critique) == ("No", "because")
    assert done.probabilities["No"] == pytest.approx(0.917, abs=1e-3)
    first, second = scripted.bodies
    assert first["stop"] == ["**Result:**"]
    assert second["structured_outputs"] == {"choice": [" Yes", " No"]}
    assert second["continue_final_message"] is True
    assert second["messages"][-1]["content"] == "**Reasoning:** because\n\n**Result:**"
    scripted.script = [chat("Well")]
    assert "constrained decoding is off" in str(next(engine.run([request_of()])).error)


def test_vllm_and_a_form_of_its_own(scripted, engine) -> None:
    """Prometheus opens its feedback with nothing: there is no message to go on with. The label comes where the form says."""
    scripted.owner = "vllm"
    scripted.script = [
        chat("Wrong city. ", None),
        chat("\n1", [("\n1", {"\n1": -0.1, "\n0": -2.5})]),
    ]
    form = {"opening": "", "cue": "[RESULT]", "gap": " ", "joint": "\n", "labels": ("1", "0")}
    done = next(engine.run([replace(request_of(critique_tokens=20), **form)]))
    assert (done.label, done.critique) == ("1", "Wrong city.")
    first, second = scripted.bodies
    assert [m["role"] for m in first["messages"]] == ["user"]
    assert "continue_final_message" not in first
    assert second["messages"][-1]["content"] == "Wrong city. [RESULT]"
    assert second["structured_outputs"] == {"choice": ["\n1", "\n0"]}


def test_a_critique_alone_is_asked_for_once_and_needs_no_label(scripted, engine) -> None:
    scripted.script = [chat("**Reasoning:** It says July, the text says August.")]
    done = next(engine.run([request_of(critique_tokens=30, choose=False)]))
    assert done.critique == "It says July, the text says August."
    assert (done.label, done.error) == (None, None)
    assert len(scripted.bodies) == 1


def test_vllm_writes_a_critique_alone(scripted, engine) -> None:
    scripted.owner = "vllm"
    scripted.script = [chat(" It says July.")]
    done = next(engine.run([request_of(critique_tokens=30, choose=False)]))
    assert (done.critique, done.label, done.error) == ("It says July.", None, None)
    assert len(scripted.bodies) == 1


def test_vllm_digits_that_are_apart_from_their_space(scripted, engine) -> None:
    scripted.owner = "vllm"
    tokens = [(" ", {" ": -0.1}), ("2", {"1": -2.0, "2": -0.5, "3": -1.5, "4": -9.0})]
    scripted.script = [chat(" 2", tokens)]
    done = next(engine.run([request_of(labels=("1", "2", "3"))]))
    mass = {"1": math.exp(-2.0), "2": math.exp(-0.5), "3": math.exp(-1.5)}
    assert done.probabilities == pytest.approx({k: v / sum(mass.values()) for k, v in mass.items()})


@pytest.mark.parametrize("seen", [{" Yes": -0.2}, {" Yes": -0.2, " no": -1.8}, None])
def test_vllm_without_all_labels_in_sight_has_no_probabilities(scripted, engine, seen) -> None:
    scripted.owner = "vllm"
    scripted.script = [chat(" Yes", [(" Yes", seen)] if seen else None)]
    done = next(engine.run([request_of()]))
    assert (done.label, done.probabilities, done.error) == ("Yes", None, None)


def test_a_server_that_is_still_starting_is_not_taken_for_another_kind(scripted, engine) -> None:
    scripted.owner = "vllm"
    scripted.models = [503] * 4  # three tries before the run; the first row asks again
    scripted.script = [chat(" No")]
    assert next(engine.run([request_of()])).label == "No"
    assert "structured_outputs" in scripted.bodies[0]


@pytest.mark.parametrize("status", [401, 404])
def test_a_server_that_does_not_say_what_it_is_gets_plain_chat(scripted, engine, status) -> None:
    scripted.models = [status]
    scripted.script = [GOOD]
    assert next(engine.run([request_of()])).label == "Yes"
    assert "structured_outputs" not in scripted.bodies[0]
    assert engine.count(request_of()) is None
    assert "Good?" in engine.prompt(request_of())


def test_a_rate_limit_is_kept_by_retries_too(scripted) -> None:
    scripted.script = [(500, {}, ERROR), (500, {}, ERROR), GOOD]
    engine = OpenAIEngine("m", scripted.url, requests_per_minute=600, backoff_s=0.001)
    assert next(engine.run([request_of()])).label == "Yes"
    engine.close()
    assert scripted.times[-1] - scripted.times[0] >= 0.19


def test_a_rate_limit_is_kept(scripted) -> None:
    scripted.script = [GOOD]
    engine = OpenAIEngine("m", scripted.url, requests_per_minute=600)
    assert len(list(engine.run([request_of(index=i) for i in range(5)]))) == 5
    engine.close()
    assert scripted.times[-1] - scripted.times[0] >= 0.35


def test_closing_early_leaves_nothing_running(scripted) -> None:
    scripted.script = [GOOD]
    engine = OpenAIEngine("m", scripted.url, concurrency=2)
    running = engine.run(request_of(index=i) for i in range(10**9))
    next(running)
    running.close()
    engine.close()
    engine.close()
    assert len(scripted.bodies) < 20
    assert not engine._server.thread.is_alive()
    with pytest.raises(ModelError, match="is closed"):
        next(engine.run([request_of()]))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_fork_is_told_so_and_does_not_wait(engine, scripted) -> None:
    scripted.script = [GOOD]
    list(engine.run([request_of()]))
    child = os.fork()
    if not child:
        signal.alarm(60)  # ends one that waits
        told = 0
        for use in (lambda: list(engine.run([request_of()])), lambda: engine.count(request_of())):
            try:
                use()
            except ModelError as error:
                told += "after the fork" in str(error)
        engine.close()
        os._exit(told)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2
    assert next(engine.run([request_of()])).label == "Yes"


def test_closing_from_other_threads_ends_a_run_with_an_error(scripted) -> None:
    scripted.script = ["slow"]
    engine = OpenAIEngine("m", scripted.url, timeout_s=120)
    closers = [threading.Timer(0.2, engine.close) for _ in range(3)]
    for closer in closers:
        closer.start()
    with pytest.raises(ModelError, match="is closed"):
        list(engine.run(request_of(index=i) for i in range(100)))
    for closer in closers:
        closer.join(60)
        assert not closer.is_alive()
    assert not engine._server.thread.is_alive()
    with pytest.raises(ModelError, match="is closed"):
        engine.count(request_of())


def test_input_is_pulled_as_needed_and_concurrency_is_bounded(scripted) -> None:
    scripted.script = [GOOD]
    engine = OpenAIEngine("m", scripted.url, concurrency=3)
    pulled = 0

    def requests():
        nonlocal pulled
        for i in range(40):
            pulled += 1
            yield request_of(index=i)

    seen = []
    for done in engine.run(requests()):
        seen.append(done.index)
        assert pulled <= len(seen) + 2 * 3 + 1
    engine.close()
    assert sorted(seen) == list(range(40))
    assert scripted.most <= 3


@pytest.mark.posix
def test_ctrl_c_leaves_nothing_running(scripted) -> None:
    scripted.script = ["slow"]
    engine = OpenAIEngine("m", scripted.url, timeout_s=120)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    try:
        with pytest.raises(KeyboardInterrupt):
            timer.start()
            list(engine.run([request_of(index=i) for i in range(100)]))
    finally:
        timer.join()
        signal.signal(signal.SIGINT, before)
    start = time.monotonic()
    engine.close()
    assert time.monotonic() - start < 30
    assert not engine._server.thread.is_alive()
    assert len(scripted.bodies) <= 8


def test_works_inside_a_running_event_loop(scripted, engine) -> None:
    scripted.script = [GOOD]

    async def notebook() -> list:
        return list(engine.run([request_of()]))

    assert asyncio.run(notebook())[0].label == "Yes"


def test_a_password_in_the_url_is_not_recorded() -> None:
    engine = OpenAIEngine("m", "http://me:secret@127.0.0.1:9/v1", api_key="hush", retries=0)
    with pytest.raises(ModelError) as error:
        next(engine.run([request_of()]))
    engine.close()
    assert engine.identity == "openai:m@http://127.0.0.1:9/v1"
    assert "secret" not in str(error.value)


def test_openai_without_a_key_says_what_to_set(monkeypatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ModelError, match="set OPENAI_API_KEY"):
        OpenAIEngine("gpt-4o-mini")


def test_nobody_listening(monkeypatch) -> None:
    engine = OpenAIEngine("m", "http://127.0.0.1:9/v1", retries=0)
    with pytest.raises(ModelError, match=r"cannot connect \(.*\); check that the server runs"):
        next(engine.run([request_of()]))
    engine.close()


DECORATION = "*_`\"'()[]<>. \n"
words = st.lists(
    st.sampled_from(
        [*LABELS, "no", "yes", "**Result:**", "**", ".", " ", "\n", "not", "</s>", "1"]
    ),
    max_size=8,
).map("".join)


@given(st.text(max_size=60) | words, st.sampled_from(LABELS), st.sampled_from([0, 5]))
def test_the_parser_never_guesses(text, label, critique_tokens) -> None:
    request = request_of(critique_tokens=critique_tokens)
    found = remote.parse_label(text, request)
    if found is not None:
        assert request.cue in text or not critique_tokens
        rest = text.split(request.cue)[-1].strip()
        for tag in ("</s>",):
            rest = rest.removesuffix(tag)
        assert rest.strip(DECORATION).casefold() == found.casefold()
    # A label behind it is read, unless another one was given before.
    again = remote.parse_label(f"{text}\n**Result:** {label}", request)
    given = {remote.begins_with(rest, LABELS) for rest in text.split(request.cue)[1:]}
    assert again == (None if given - {None, label} else label)
    assert remote.parse_label(f"{text}**Result:** {label} or so", request) is None


@given(
    st.lists(st.text(min_size=1, max_size=8).map(str.strip).filter(bool), min_size=2, max_size=5)
)
def test_a_label_as_it_is_written_is_always_read(labels) -> None:
    try:
        scale = Scale.classes(*labels)
    except ValueError:
        return
    request = request_of(labels=scale.labels, critique_tokens=5)
    for label in scale.labels:
        if request.cue not in label:
            assert remote.parse_label(f"{request.cue} {label}", request) == label


@pytest.mark.parametrize(
    "answer",
    [
        "**Result:** Yes",
        "x **Result:** **yes**.",
        '**Result:** "YES"',
        "**Result:** [Yes]",
        "**Result:** Yes</score>",
    ],
)
def test_usual_decorations_are_read(answer) -> None:
    assert remote.parse_label(answer, request_of(critique_tokens=5)) == "Yes"
