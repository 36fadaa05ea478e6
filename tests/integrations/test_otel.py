"""Events and the span processor, with the real SDK and its exporters in memory; ``--otel`` with a collector on this machine."""

from __future__ import annotations

import http.server
import json
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("opentelemetry.sdk._logs")

from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.trace import TracerProvider

from mene import Criterion, Judge, Sample, Verdict
from mene.errors import UsageError
from mene.events import nowhere
from mene.integrations.otel import JudgeSpans, parent_of, record, sample_of
from mene.integrations.otel.export import Emitting
from tests.integrations.scripted import JUDGE, Scripted

POLITE = Criterion(name="polite", question="Polite?", scale="yes/no")  # type: ignore[arg-type]
TONE = Criterion(name="warmth", question="How warm?", scale="1-5")  # type: ignore[arg-type]
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.fixture
def logs() -> tuple[LoggerProvider, InMemoryLogRecordExporter]:
    provider, memory = LoggerProvider(shutdown_on_exit=False), InMemoryLogRecordExporter()
    provider.add_log_record_processor(SimpleLogRecordProcessor(memory))
    return provider, memory


def judge() -> Judge:
    return Judge(JUDGE, engine=Scripted())


def records(memory: InMemoryLogRecordExporter) -> list:
    return [one.log_record for one in memory.get_finished_logs()]


def test_a_verdict_is_an_event_under_the_span_that_was_judged(logs) -> None:
    provider, memory = logs
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("app")
    with tracer.start_as_current_span("chat") as span:
        verdict = judge()("a good text", criterion=POLITE)
    record(
        verdict.model_copy(update={"critique": "why"}),
        POLITE,
        span,
        response_id="r1",
        provider=provider,
    )
    [event] = records(memory)
    own = span.get_span_context()
    assert event.event_name == "gen_ai.evaluation.result"
    assert (event.trace_id, event.span_id) == (own.trace_id, own.span_id)
    said = dict(event.attributes)
    assert said.pop("mene.key") == verdict.key
    assert said == {
        "gen_ai.evaluation.name": "polite",
        "gen_ai.evaluation.score.value": pytest.approx(0.9),
        "gen_ai.evaluation.score.label": "Yes",
        "gen_ai.evaluation.explanation": "why",
        "gen_ai.response.id": "r1",
        "mene.judge": JUDGE,
        "mene.confidence": pytest.approx(0.9),
        "mene.probability.Yes": pytest.approx(0.9),
        "mene.probability.No": pytest.approx(0.1),
    }


def test_the_conventions_name_these_attributes() -> None:
    from opentelemetry.semconv._incubating.attributes import gen_ai_attributes as names

    known = {value for name, value in vars(names).items() if name.startswith("GEN_AI_EVALUATION")}
    assert known == {
        f"gen_ai.evaluation.{x}" for x in ("name", "score.value", "score.label", "explanation")
    }


def test_a_failed_one_has_an_error_and_no_score(logs) -> None:
    provider, memory = logs
    record(Verdict(id="7", criterion="polite", error="it broke"), POLITE, provider=provider)
    record(Verdict(label="4", score=3.75), TONE, provider=provider)
    failed, scored = records(memory)
    assert (
        failed.attributes["error.type"] == "_OTHER"
        and failed.attributes["error.message"] == "it broke"
    )
    assert not any("score" in name for name in failed.attributes)
    assert failed.attributes["mene.sample.id"] == "7" and failed.span_id == 0
    assert scored.attributes["gen_ai.evaluation.score.value"] == 3.75


@pytest.mark.parametrize(
    "text", [f"00-{TRACE}-{SPAN}-01", f"{TRACE}-{SPAN}", f"{TRACE.upper()}:{SPAN}"]
)
def test_an_id_may_name_the_span(logs, text) -> None:
    provider, memory = logs
    record(Verdict(id=text, label="Yes"), POLITE, provider=provider)
    [event] = records(memory)
    assert (event.trace_id, event.span_id) == (int(TRACE, 16), int(SPAN, 16))


@pytest.mark.parametrize(
    "text", ["", "rag-01", TRACE, f"{'0' * 32}-{SPAN}", f"{TRACE}-{SPAN}-", f"x{TRACE}-{SPAN}"]
)
def test_other_ids_name_none(text) -> None:
    assert parent_of(text) is None


# Spans.


def traced(processor: JudgeSpans):
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(processor)
    return provider, provider.get_tracer("app")


CHATS = [
    {
        "gen_ai.input.messages": json.dumps(
            [{"role": "system", "parts": [{"type": "text", "content": "Be short."}]},
             {"role": "user", "parts": [{"type": "text", "content": "Who?"}]}]
        ),
        "gen_ai.output.messages": json.dumps(
            [{"role": "assistant", "parts": [{"type": "reasoning", "content": "hm"}, {"type": "text", "content": "A good man."}]}]
        ),
    },
    {"gen_ai.prompt.0.role": "system", "gen_ai.prompt.0.content": "Be short.", "gen_ai.prompt.10.content": "Who?", "gen_ai.prompt.2.content": "no", "gen_ai.completion.0.content": "A good man."},
    {"input.value": "Who?", "output.value": "A good man."},
    {"input.value": json.dumps({"messages": [{"role": "user", "content": "Who?"}]}), "output.value": json.dumps({"messages": [{"role": "assistant", "content": "A good man."}]})},
    {"llm.input_messages.0.message.content": "Who?", "llm.output_messages.0.message.content": "A good man."},
]  # fmt: skip


@pytest.mark.parametrize("attributes", CHATS)
def test_what_a_span_says_is_read(attributes) -> None:
    span = SimpleNamespace(
        attributes=attributes, get_span_context=lambda: parent_of(f"{TRACE}-{SPAN}")
    )
    sample = sample_of(span)  # type: ignore[arg-type]
    assert sample == Sample(id=f"{TRACE}-{SPAN}", instruction="Who?", response="A good man.")


ASKED, LOOKS, FOUND = "What is the weather in Paris?", "Let me look that up.", "18"
AT_WORK = {
    "messages": {
        "gen_ai.input.messages": json.dumps(
            [{"role": "user", "parts": [{"type": "text", "content": ASKED}]},
             {"role": "assistant", "parts": [{"type": "text", "content": LOOKS}, {"type": "tool_call", "name": "w", "arguments": {}}]},
             {"role": "tool", "parts": [{"type": "tool_call_response", "response": FOUND}]}]
        ),
        "gen_ai.output.messages": json.dumps([{"role": "assistant", "parts": [{"type": "text", "content": "18 degrees."}]}]),
    },
    "numbered": {
        "gen_ai.prompt.0.role": "user", "gen_ai.prompt.0.content": ASKED, "gen_ai.prompt.1.role": "assistant", "gen_ai.prompt.1.content": LOOKS,
        "gen_ai.prompt.2.role": "tool", "gen_ai.prompt.2.content": FOUND, "gen_ai.completion.0.role": "assistant", "gen_ai.completion.0.content": "18 degrees.",
    },
    "openinference": {
        "llm.input_messages.0.message.role": "user", "llm.input_messages.0.message.contents.0.message_content.text": ASKED,
        "llm.input_messages.1.message.role": "assistant", "llm.input_messages.1.message.content": LOOKS,
        "llm.input_messages.2.message.role": "tool", "llm.input_messages.2.message.content": FOUND,
        "llm.output_messages.0.message.role": "assistant", "llm.output_messages.0.message.content": "18 degrees.",
    },
    "anthropic": {
        "gen_ai.prompt.0.role": "user", "gen_ai.prompt.0.content": json.dumps([{"type": "text", "text": ASKED}]),
        "gen_ai.prompt.1.role": "assistant", "gen_ai.prompt.1.content": LOOKS,
        "gen_ai.prompt.2.role": "user", "gen_ai.prompt.2.content": json.dumps([{"type": "tool_result", "content": FOUND}]),
        "gen_ai.completion.0.content": "18 degrees.",
    },
    "langchain": {
        "input.value": json.dumps({"messages": [[{"type": "human", "content": ASKED}, {"type": "ai", "content": LOOKS}, {"type": "tool", "content": FOUND}]]}),
        "output.value": json.dumps({"messages": [{"type": "human", "content": ASKED}, {"type": "ai", "content": "18 degrees."}, {"type": "human", "content": "Thanks."}]}),
    },
}  # fmt: skip


@pytest.mark.parametrize("attributes", AT_WORK.values(), ids=AT_WORK)
def test_the_instruction_is_the_users_and_the_response_the_models(attributes) -> None:
    span = SimpleNamespace(attributes=attributes, get_span_context=lambda: None)
    assert sample_of(span) == Sample(instruction=ASKED, response="18 degrees.")  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["7", "true", "1.50", "{x", '["a", "b"'])
def test_a_plain_text_stays_what_it_is(text) -> None:
    said = {"input.value": text, "output.value": text}
    span = SimpleNamespace(attributes=said, get_span_context=lambda: None)
    assert sample_of(span) == Sample(instruction=text, response=text)  # type: ignore[arg-type]


def test_what_no_user_said_is_no_instruction() -> None:
    image = [{"role": "user", "content": "Who?"}, {"role": "user", "content": [{"type": "image"}]}]
    for messages in ([{"role": "system", "content": "Be short."}], [{"role": "assistant", "content": "Hi."}], image):  # fmt: skip
        said = {"gen_ai.input.messages": json.dumps(messages), "output.value": "A."}
        span = SimpleNamespace(attributes=said, get_span_context=lambda: None)
        assert sample_of(span).instruction is None  # type: ignore[arg-type, union-attr]


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "role",
                    "content",
                    "parts",
                    "type",
                    "text",
                    "messages",
                    "from",
                    "value",
                    "kwargs",
                    "lc",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "gen_ai.output.messages",
                "output.value",
                "gen_ai.completion.0.content",
                "gen_ai.input.messages",
                "input.value",
                "gen_ai.prompt.0.role",
                "gen_ai.prompt.0.content",
            ]
        ),
        JSON.map(json.dumps) | st.text(max_size=8),
    )
)
@settings(max_examples=60)
def test_no_attribute_breaks_the_reader(attributes) -> None:
    span = SimpleNamespace(attributes=attributes, get_span_context=lambda: None)
    sample = sample_of(span)  # type: ignore[arg-type]
    assert sample is None or sample.response


def test_documents_are_the_context() -> None:
    said = {
        "output.value": "A.",
        "retrieval.documents.1.document.content": "two",
        "retrieval.documents.0.document.content": "one",
    }
    span = SimpleNamespace(attributes=said, get_span_context=lambda: None)
    assert sample_of(span).context == "one\n\ntwo"  # type: ignore[arg-type, union-attr]
    for other in (
        {},
        {"http.method": "GET"},
        {"output.value": ""},
        {"gen_ai.output.messages": "[]"},
        {"gen_ai.output.messages": "[1, null, {}]"},
    ):
        assert sample_of(SimpleNamespace(attributes=other, get_span_context=lambda: None)) is None  # type: ignore[arg-type]


def test_spans_are_judged_as_they_end(logs) -> None:
    provider, memory = logs
    processor = JudgeSpans(judge(), [POLITE, "faithfulness"], provider=provider)
    traces, tracer = traced(processor)
    with tracer.start_as_current_span("request"):
        for text in ("good", "bad"):
            with tracer.start_as_current_span("chat", attributes={"output.value": text}) as span:
                pass
    assert traces.force_flush()
    events = records(memory)
    # No context, so faithfulness cannot be judged; the outer span is no answer of a model.
    assert [e.attributes["gen_ai.evaluation.score.label"] for e in events] == ["Yes", "No"]
    assert events[-1].span_id == span.get_span_context().span_id
    assert (processor.judged, processor.dropped) == (2, 0)
    traces.shutdown()
    assert not processor._thread.is_alive()


def test_a_share_of_traces_is_judged(logs) -> None:
    processor = JudgeSpans(judge(), POLITE, share=0.25, provider=logs[0])
    traces, tracer = traced(processor)
    for _ in range(200):
        with (
            tracer.start_as_current_span("a", attributes={"output.value": "good"}),
            tracer.start_as_current_span("b", attributes={"output.value": "bad"}),
        ):
            pass
    assert traces.force_flush()
    by_trace: dict[int, int] = {}
    for event in records(logs[1]):
        by_trace[event.trace_id] = by_trace.get(event.trace_id, 0) + 1
    assert set(by_trace.values()) == {2} and 20 <= len(by_trace) <= 80  # of 200, p < 1e-6 each way
    traces.shutdown()


def test_what_finds_no_room_is_said_once(logs) -> None:
    let, told = threading.Event(), []

    class Slow(Scripted):
        def run(self, requests, stop=None):
            let.wait(10)
            return super().run(requests, stop)

    processor = JudgeSpans(
        Judge(JUDGE, engine=Slow()), POLITE, provider=logs[0], most=2, events=told.append
    )
    traces, tracer = traced(processor)
    for _ in range(9):
        with tracer.start_as_current_span("a", attributes={"output.value": "good"}):
            pass
    assert processor.dropped >= 5 and len(told) == 1 and "lower `share`" in told[0].text
    let.set()
    assert traces.force_flush() and processor.judged + processor.dropped == 9
    traces.shutdown()


def test_nothing_that_goes_wrong_reaches_the_program(logs) -> None:
    told: list = []

    def odd(span):
        raise ValueError("odd")

    gone = judge()
    gone.close()
    processors = [
        JudgeSpans(judge(), POLITE, read=odd, provider=logs[0], events=told.append),
        JudgeSpans(gone, POLITE, provider=logs[0], events=told.append),
        JudgeSpans(judge(), POLITE, provider=logs[0], events=told.append),
    ]
    for processor in processors:
        traces, tracer = traced(processor)
        for text in ("good", "broken"):
            with tracer.start_as_current_span("a", attributes={"output.value": text}):
                pass
        assert traces.force_flush()
        traces.shutdown()
    assert "odd" in told[0].text and "was closed" in told[1].text and len(told) == 2
    good, broken = records(logs[1])
    assert "error.type" not in good.attributes and "it broke" in broken.attributes["error.message"]
    for wrong in ({"share": 1.5}, {"criteria": []}):
        with pytest.raises(UsageError):
            JudgeSpans(judge(), **{"criteria": POLITE, "events": nowhere, **wrong})


# The command line.


def test_each_verdict_is_sent_once(logs) -> None:
    emitting = Emitting(lambda verdict: POLITE, lambda verdict: verdict.label == "No", logs[0])
    for row, label in enumerate(["Yes", "No", "No"], start=1):
        emitting.on_verdict(Verdict(row=row, label=label))
    emitting.on_explained(Verdict(row=2, label="No", critique="why"))
    emitting.on_explained(Verdict(row=9, label="No", critique="of an earlier run"))
    emitting.close()
    said = [e.attributes.get("gen_ai.evaluation.explanation") for e in records(logs[1])]
    assert said == [None, "why", None]


@pytest.fixture
def collector():
    """What was posted to a collector: (path, body)."""
    posted: list[tuple[str, bytes]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append((self.path, self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: object) -> None: ...

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", posted
    server.shutdown()
    server.server_close()


@pytest.fixture
def rows(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setattr("mene.judge.judge.open_engine", lambda *_, **__: Scripted())
    path = tmp_path / "rows.jsonl"
    lines = [{"id": f"00-{TRACE}-{SPAN}-01", "response": "good"}, {"id": "2", "response": "bad"}]
    path.write_text("\n".join(map(json.dumps, lines)))
    return path


def test_a_run_sends_its_verdicts_to_a_collector(here, rows, collector) -> None:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
    from gzip import decompress

    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

    url, posted = collector
    command = ("judge", rows, "-c", "Polite?", "-j", JUDGE, "-m", "verdict", "--otel", url)
    done = here(*command)
    assert done.returncode == 0, done.stderr
    sent = []
    for path, body in posted:
        assert path == "/v1/logs"
        request = ExportLogsServiceRequest.FromString(
            decompress(body) if body[:2] == b"\x1f\x8b" else body
        )
        sent += [
            r
            for group in request.resource_logs
            for scope in group.scope_logs
            for r in scope.log_records
        ]
    assert {r.event_name for r in sent} == {"gen_ai.evaluation.result"} and len(sent) == 2
    assert [r.span_id.hex() for r in sent].count(SPAN) == 1
    posted.clear()
    assert here(*command).returncode == 0 and not posted  # nothing new was judged


def test_a_collector_that_is_not_there_is_said_in_one_line(here, rows) -> None:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
    command = ("judge", rows, "-c", "Polite?", "-j", JUDGE, "-m", "verdict", "--otel")
    done = here(*command, "http://127.0.0.1:9")
    assert done.returncode == 0
    assert "2 verdicts could not be sent to http://127.0.0.1:9/v1/logs" in done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    done = here(*command, "localhost", "--overwrite")
    assert done.returncode == 2 and "give the URL of a collector" in done.stderr
