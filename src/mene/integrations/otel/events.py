"""A verdict as an event ``gen_ai.evaluation.result``, a child of the span that was judged."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mene import Criterion, Verdict, __version__
from mene.errors import UsageError
from mene.integrations.grade import grade
from mene.integrations.need import need

if TYPE_CHECKING:
    from opentelemetry._logs import LoggerProvider
    from opentelemetry.context import Context
    from opentelemetry.trace import Span, SpanContext

EVENT = "gen_ai.evaluation.result"
# As the W3C writes it (version-trace-span-flags), or trace and span alone.
_PARENT = re.compile(
    r"(?:[0-9a-f]{2}-)?([0-9a-f]{32})[-:/]([0-9a-f]{16})(?:-[0-9a-f]{2})?", re.IGNORECASE
)


def parent_of(text: str) -> SpanContext | None:
    """Return the span in an id, ``00-TRACE-SPAN-01`` (a ``traceparent``) or ``TRACE-SPAN``, in hex; None without one."""
    need("opentelemetry", "otel")
    from opentelemetry.trace import SpanContext, TraceFlags

    found = _PARENT.fullmatch(text.strip())
    if found is None:
        return None
    context = SpanContext(
        int(found[1], 16),
        int(found[2], 16),
        is_remote=True,
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
    )
    return context if context.is_valid else None


def judged_span(verdict: Verdict, option: str, what: str) -> SpanContext:
    """Return the span in a verdict's id.

    Args:
        option, what: the option to use instead, and what it refers to (``trace_id``, ``trace``), for the error.

    Raises:
        UsageError: the id contains no span.
    """
    named = parent_of(verdict.id)
    if named is None:
        raise UsageError(
            f'{option}: say which {what} was judged; the verdict\'s id "{verdict.id}" names none'
        )
    return named


def record(
    verdict: Verdict,
    criterion: Criterion,
    span: Span | SpanContext | None = None,
    *,
    response_id: str | None = None,
    provider: LoggerProvider | None = None,
) -> None:
    """Emit a verdict as an event.

    Args:
        span: what was judged. Default: the span in the verdict's id (``parent_of``), else the current one.
        response_id: of the model's response, if there is no span (``gen_ai.response.id``).
        provider: default: the program's logger provider.
    """
    need("opentelemetry._logs", "otel")
    from opentelemetry._logs import LogRecord, SeverityNumber, get_logger

    context = _context(span if span is not None else parent_of(verdict.id))
    failed = verdict.error is not None
    event = LogRecord(
        timestamp=time.time_ns(),
        context=context,
        severity_number=SeverityNumber.ERROR if failed else SeverityNumber.INFO,
        attributes=_attributes(verdict, criterion, response_id),
        event_name=EVENT,
    )
    get_logger("mene", __version__, provider).emit(event)


def _context(span: Span | SpanContext | None) -> Context | None:
    from opentelemetry import trace

    if span is None:
        return None
    if isinstance(span, trace.SpanContext):
        span = trace.NonRecordingSpan(span)
    return trace.set_span_in_context(span)


def _attributes(
    verdict: Verdict, criterion: Criterion, response_id: str | None
) -> Mapping[str, Any]:
    """Return the attributes; ``score.value`` is the expected score, or for classes the probability that nothing is wrong."""
    said: dict[str, Any] = {
        "gen_ai.evaluation.name": criterion.name,
        "gen_ai.evaluation.score.value": _value(verdict, criterion),
        "gen_ai.evaluation.score.label": verdict.label,
        "gen_ai.evaluation.explanation": verdict.critique,
        "gen_ai.response.id": response_id,
        "error.type": None if verdict.error is None else "_OTHER",
        "error.message": verdict.error,
        "mene.judge": verdict.judge,
        "mene.confidence": verdict.confidence,
        "mene.sample.id": verdict.id,
        "mene.key": verdict.key,
    }
    for label, probability in (verdict.probabilities or {}).items():
        said[f"mene.probability.{label}"] = probability
    return {name: value for name, value in said.items() if value not in (None, "")}


def _value(verdict: Verdict, criterion: Criterion) -> float | None:
    if verdict.label is None:
        return None
    if criterion.scale.kind == "ordinal":
        return verdict.score
    try:
        return grade(verdict, criterion)
    except UsageError:  # a pair, or classes without failing labels: the label says enough
        return None
