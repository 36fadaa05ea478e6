"""A span processor that judges the answers of language models when their spans end.

The span itself is exported immediately, as usual. A background thread judges a share of the spans, and emits the verdicts as
events under them.
"""

from __future__ import annotations

import json
import queue
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from mene import Criterion, Judge, MeneError, Sample
from mene.errors import UsageError
from mene.events import Events, Warn, on_stderr
from mene.integrations.ask import criterion_of
from mene.integrations.need import need
from mene.integrations.otel.events import record
from mene.values.listed import messages_of
from mene.values.talk import RESULTS, SPEAKERS, TEXT_PARTS, bare, is_turn, kind_of, role

if TYPE_CHECKING:
    from opentelemetry._logs import LoggerProvider
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span

TOGETHER = 16  # maximum number of spans judged in one batch
# Attributes, newest convention first.
_ANSWERS = ("gen_ai.output.messages", "gen_ai.completion", "llm.output_messages", "output.value")
_QUESTIONS = ("gen_ai.input.messages", "gen_ai.prompt", "llm.input_messages", "input.value")
_RESULTS = (*RESULTS, "tool_call_response")


class JudgeSpans:
    """A span processor: ``provider.add_span_processor(JudgeSpans(Judge("base"), ["faithfulness"]))``.

    Args:
        judge: not closed by this class.
        criteria: names, questions or ``Criterion``s. A criterion is skipped for spans that lack a field it needs.
        share: of the traces to judge, 0 to 1. A trace is judged completely or not at all.
        read: returns what to judge of a span; None: nothing. Default: the model's answer, see ``sample_of``.
        provider: destination of events; default: the program's logger provider.
        most: maximum number of waiting spans. Further ones are not judged.
        events: receives one warning each about spans dropped for lack of room, and about a lost judge.

    Attributes:
        judged, dropped: number of spans passed to the judge, and dropped for lack of room.

    Raises:
        UsageError: no criterion, or an invalid ``share``.
    """

    def __init__(
        self,
        judge: Judge,
        criteria: Iterable[str | Criterion] | str | Criterion,
        *,
        share: float = 1.0,
        read: Callable[[ReadableSpan], Sample | None] | None = None,
        provider: LoggerProvider | None = None,
        most: int = 1000,
        events: Events = on_stderr,
    ) -> None:
        need("opentelemetry.sdk.trace", "otel")
        if not 0 <= share <= 1:
            raise UsageError(f"share={share}: give the share of traces that is judged, 0 to 1")
        given = [criteria] if isinstance(criteria, str | Criterion) else list(criteria)
        self._criteria = [criterion_of(one) for one in given]
        if not self._criteria:
            raise UsageError("criteria: say what the spans are judged by")
        self._judge, self._below = judge, int(share * 2**64)
        self._read = read or sample_of
        self._provider, self._events = provider, events
        self._waiting: queue.Queue[tuple[Any, Sample] | None] = queue.Queue(most)
        self._told: set[str] = set()
        self.judged = self.dropped = 0
        self._thread = threading.Thread(target=self._work, name="mene-otel", daemon=True)
        self._thread.start()

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Nothing is known yet."""

    def _on_ending(self, span: Span) -> None:
        """Called by the SDK before the end."""

    def on_end(self, span: ReadableSpan) -> None:
        """Queue the span for the judge. Returns at once; the span's content is read later, in the thread."""
        context = span.get_span_context()
        if context is None or not context.trace_flags.sampled:
            return
        if (context.trace_id & (2**64 - 1)) >= self._below:
            return
        try:
            sample = self._read(span)
        except Exception as error:  # a user's function must not break the traced program
            self._tell(
                f"a span cannot be read ({type(error).__name__}: {error}), so it is not judged"
            )
            return
        if sample is None:
            return
        try:
            self._waiting.put_nowait((context, sample))
        except queue.Full:
            self.dropped += 1
            self._tell(
                "spans end faster than the judge works, so some are not judged; lower `share`"
            )

    def _work(self) -> None:
        while True:
            first = self._waiting.get()
            batch = [first]
            while len(batch) < TOGETHER and batch[-1] is not None and not self._waiting.empty():
                batch.append(self._waiting.get())
            try:
                self._judge_all([one for one in batch if one is not None])
            except Exception as error:  # the judge was closed, or its server is down
                self._tell(f"spans are not judged: {error}")
            finally:
                for _ in batch:
                    self._waiting.task_done()
            if batch[-1] is None:
                return

    def _judge_all(self, batch: list[tuple[Any, Sample]]) -> None:
        self.judged += len(batch)
        for criterion in self._criteria:
            fitting = [one for one in batch if _fits(criterion, one[1])]
            verdicts = self._judge.judge([sample for _, sample in fitting], criterion)
            for (context, _), verdict in zip(fitting, verdicts, strict=True):
                record(verdict, criterion, context, provider=self._provider)

    def _tell(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self._events(Warn(text))

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Wait until all queued spans are judged; return False on time-out."""
        end = time.monotonic() + timeout_millis / 1000
        while self._waiting.unfinished_tasks:
            if time.monotonic() > end:
                return False
            time.sleep(0.01)
        return True

    def shutdown(self) -> None:
        """Judge the queued spans, for at most 30 seconds, and stop."""
        if self._thread.is_alive() and self.force_flush():
            self._waiting.put(None)
            self._thread.join(timeout=1)


def _fits(criterion: Criterion, sample: Sample) -> bool:
    try:
        criterion.check(sample)
    except MeneError:
        return False
    return True


def sample_of(span: ReadableSpan) -> Sample | None:
    """Return a model's question and answer from its span's attributes; None where the span is not a model's.

    Supported are the conventions of OpenTelemetry (``gen_ai.input.messages``, ``gen_ai.output.messages``, and the older
    ``gen_ai.prompt.0.content``), OpenInference (``input.value``, ``output.value``, documents) and plain texts. The instruction
    is the user's last message. The response is what this call of the model wrote: its earlier turns have spans of their own.
    """
    said = span.attributes or {}
    response = _text(said, _ANSWERS, _of_assistant)
    if not response:
        return None
    documents = [
        text for name, text in _numbered(said, "retrieval.documents") if name.endswith("content")
    ]
    context = said.get("gen_ai.retrieval.context") or "\n\n".join(documents) or None
    own = span.get_span_context()
    name = f"{own.trace_id:032x}-{own.span_id:016x}" if own else ""
    return Sample(
        id=name,
        instruction=_text(said, _QUESTIONS, _of_user) or None,
        response=response,
        context=None if context is None else str(context),
    )


def _numbered(said: Mapping[str, Any], name: str) -> list[tuple[str, str]]:
    """Attributes ``NAME.0.…``, in their order."""
    found = [
        (int(match[1]), key, value)
        for key, value in said.items()
        if (match := re.match(rf"{re.escape(name)}\.(\d+)\.", key)) and isinstance(value, str)
    ]
    return [(key, value) for _, key, value in sorted(found)]


def _text(said: Mapping[str, Any], names: Iterable[str], last: Callable[[list[Any]], str]) -> str:
    """Return what ``last`` finds in the messages of the first of these attributes that has any text."""
    for name in names:
        if text := last(_messages(said.get(name))) or last(_numbered_messages(said, name)):
            return text
    return ""


def _of_user(messages: list[Any]) -> str:
    """Return the user's last message. Anthropic's tool results, in a user's turn, are none."""
    for message in reversed(messages):
        if isinstance(message, str):
            return message
        if _who(message) in ("", "user") and not _is_result(message):
            return _of_message(message)
    return ""


def _of_assistant(messages: list[Any]) -> str:
    """Return the model's last text."""
    for message in reversed(messages):
        if isinstance(message, str):
            return message
        others = ("user", "system", "developer", "tool")
        if _who(message) not in others and (text := _of_message(message)):
            return text
    return ""


def _messages(value: Any) -> list[Any]:
    """Return messages, or texts; a plain text is one of them."""
    if isinstance(value, str):
        try:
            found = json.loads(value)
        except (ValueError, RecursionError):
            return [value]
        if found is None:
            return []
        if not isinstance(found, list | dict):  # a number that somebody wrote, or a text in quotes
            return [found if isinstance(found, str) else value]
        value = found
    if isinstance(value, Mapping):
        value = value.get("messages", [value])
    while isinstance(value, list) and len(value) == 1 and isinstance(value[0], list):
        [value] = value  # LangChain writes batches of one
    found = map(bare, value if isinstance(value, list | tuple) else [value])
    return [one for one in found if isinstance(one, str | Mapping)]


def _numbered_messages(said: Mapping[str, Any], name: str) -> list[Any]:
    """Return the messages of attributes ``NAME.0.role``, ``NAME.0.content``, or of OpenInference's ``NAME.0.message.…``."""
    found: dict[str, dict[str, Any]] = {}
    for key, value in _numbered(said, name):
        number, _, what = key.removeprefix(f"{name}.").partition(".")
        message = found.setdefault(number, {})
        what = what.removeprefix("message.")
        if what in ("role", "content"):
            message[what] = value
        elif re.fullmatch(r"contents\.\d+\.message_content\.text", what):
            message.setdefault("content", []).append({"type": "text", "text": value})
    return list(found.values())


def _who(message: Mapping[str, Any]) -> str:
    """Return the role that a message states; empty without one."""
    return role(message) if message.get("role") or kind_of(message) in SPEAKERS else ""


def _parts(message: Mapping[str, Any]) -> list[Mapping[str, Any]] | str:
    """Return a message's parts, or its text. OpenLLMetry writes parts as JSON."""
    content = message.get("parts", message.get("content", ""))
    if isinstance(content, str):
        found = messages_of(content) if content.startswith("[") else []
        content = found if found and all(map(_is_part, found)) else content
    if isinstance(content, str):
        return content
    return [one for one in content if isinstance(one, Mapping)] if isinstance(content, list) else []


def _is_part(value: Any) -> bool:
    return is_turn(value) or (isinstance(value, Mapping) and kind_of(value) in _RESULTS)


def _is_result(message: Mapping[str, Any]) -> bool:
    parts = _parts(message)
    return bool(parts) and not isinstance(parts, str) and all(kind_of(p) in _RESULTS for p in parts)


def _of_message(message: Mapping[str, Any]) -> str:
    """Return the text of a message."""
    parts = _parts(message)
    if isinstance(parts, str):
        return parts
    texts = (
        part.get("content", part.get("text"))
        for part in parts
        if part.get("type", "text") in TEXT_PARTS
    )
    return "\n".join(text for text in texts if isinstance(text, str))
