"""Remote engines: a real llama.cpp server on loopback, and a scripted one that misbehaves."""

from __future__ import annotations

import http.server
import json
import signal
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mene.engines import remote
from mene.engines.base import Message, Request
from mene.engines.llamacpp import LlamaCppEngine
from mene.engines.openai import OpenAIEngine
from mene.errors import ContextOverflow, EngineError, ModelError

LABELS = ("Yes", "No")


def request_of(text: str = "Good?", labels=LABELS, index: int = 0, **more) -> Request:
    return Request(index, (Message("user", text),), labels, "**Reasoning:**", "**Result:**", **more)


# -- a real server --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def address(small_model):
    import xllamacpp

    params = xllamacpp.CommonParams()  # type: ignore[attr-defined]
    params.model.path = str(small_model)
    params.n_ctx, params.n_parallel, params.port, params.verbosity = 2048, 2, 0, -1
    params.flash_attn_type = xllamacpp.llama_flash_attn_type(0)  # type: ignore[attr-defined]
    handlers = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}
    server = xllamacpp.Server(params)  # type: ignore[attr-defined]
    for number, handler in handlers.items():
        signal.signal(number, handler)
    yield server.listening_address + "/v1"


@pytest.mark.parametrize("labels", [LABELS, tuple(map(str, range(11))), ("quite good", "not good")])
def test_a_real_server_gives_what_the_embedded_engine_gives(address, small_model, labels) -> None:
    remote_engine = OpenAIEngine("nano", address, concurrency=2)
    embedded = LlamaCppEngine(small_model)
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
    assert "1024" in str(long.error)
    remote_engine.close()
    embedded.close()


# -- a server with a script -----------------------------------------------------------------------


def chat(content: str, tokens: list[tuple[str, dict[str, float]]] | None = None) -> dict:
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
    message = {"role": "assistant", "content": content}
    choice = {"index": 0, "finish_reason": "stop", "message": message, "logprobs": logprobs}
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
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.reply(200, {}, {"object": "list", "data": [{"id": "m", "owned_by": self.owner}]})

        def do_POST(self) -> None:
            self.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.times.append(time.monotonic())
            step = self.script.pop(0) if len(self.script) > 1 else self.script[0]
            if step == "cut":
                self.connection.close()
            elif step == "slow":
                time.sleep(1.0)
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

    Handler.script, Handler.bodies, Handler.times = [], [], []
    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Handler.url = f"http://127.0.0.1:{server.server_address[1]}/v1"  # type: ignore[attr-defined]
    yield Handler
    server.shutdown()
    server.server_close()


@pytest.fixture
def engine(scripted):
    engine = OpenAIEngine("m", scripted.url, retries=2, timeout_s=0.5)
    yield engine
    engine.close()


GOOD = chat("**Reasoning:** fine\n\n**Result:** Yes")
ERROR = {"error": {"message": "busy", "type": "x", "code": None}}


@pytest.mark.parametrize(
    "fault",
    [(429, {"retry-after": "0.2"}, ERROR), (500, {}, ERROR), (503, {}, b"gateway"), "cut", "slow"],
    ids=["429", "500", "503", "cut", "slow"],
)
def test_passing_faults_are_retried(scripted, engine, fault) -> None:
    scripted.script = [fault, GOOD]
    done = next(engine.run([request_of(critique_tokens=20)]))
    assert (done.label, done.critique, done.error) == ("Yes", "fine", None)
    assert done.probabilities is None
    assert done.usage.prompt_tokens == 7
    assert len(scripted.bodies) == 2


def test_retry_after_is_honoured(scripted, engine) -> None:
    scripted.script = [(429, {"retry-after": "1.2"}, ERROR), GOOD]
    assert next(engine.run([request_of()])).label == "Yes"
    assert scripted.times[1] - scripted.times[0] >= 1.2


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
    ("status", "message"), [(401, "OPENAI_API_KEY"), (403, "refuses the key"), (404, "no model")]
)
def test_what_no_retry_can_mend_ends_the_run(scripted, engine, status, message) -> None:
    scripted.script = [(status, {}, ERROR)]
    with pytest.raises(ModelError, match=message):
        list(engine.run([request_of(index=i) for i in range(20)]))


def test_too_long_a_prompt_is_told_with_sizes(scripted, engine) -> None:
    text = "This model's maximum context length is 4096 tokens. However, your messages resulted in 9000 tokens."
    scripted.script = [(400, {}, {"error": {"message": text}})]
    done = next(engine.run([request_of()]))
    assert isinstance(done.error, ContextOverflow)
    assert "9000" in str(done.error)
    assert "4096" in str(done.error)


def test_an_answer_without_a_label_is_asked_again_then_an_error(scripted, engine) -> None:
    scripted.script = [chat("I like it."), GOOD]
    assert next(engine.run([request_of(critique_tokens=20)])).label == "Yes"
    assert "exactly one of: Yes, No" in scripted.bodies[1]["messages"][-1]["content"]
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
        GOOD,
    ]
    assert next(engine.run([request_of()])).label == "Yes"
    assert "logprobs" not in scripted.bodies[2]
    assert scripted.bodies[2]["max_completion_tokens"] == 24


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
    assert len(scripted.bodies) < 20
    assert not engine._thread.is_alive()


def test_openai_without_a_key_says_what_to_set(monkeypatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ModelError, match="set OPENAI_API_KEY"):
        OpenAIEngine("gpt-4o-mini")


def test_nobody_listening(monkeypatch) -> None:
    engine = OpenAIEngine("m", "http://127.0.0.1:9/v1", retries=0)
    done = next(engine.run([request_of()]))
    engine.close()
    assert "check that the server runs" in str(done.error)


@given(st.text(max_size=60), st.sampled_from(LABELS))
def test_the_parser_never_guesses(text, label) -> None:
    request = request_of(critique_tokens=5)
    found = remote.parse_label(text, request)
    if found is not None:
        assert found.casefold() in text.casefold()
        assert request.cue in text
    assert remote.parse_label(f"{text}\n**Result:** {label}", request) == label
    assert remote.parse_label(f"{text}**Result:** {label} or so", request) is None


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
