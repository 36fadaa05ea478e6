"""Verdicts as scores in Langfuse.

from mene.integrations.langfuse import score
score(langfuse.get_client(), verdict, criterion, trace_id=…)
"""

# pyright: reportMissingImports=false
from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mene import Criterion, Verdict
from mene.errors import EngineError
from mene.integrations.grade import grade, no_label, reason
from mene.integrations.need import need

if TYPE_CHECKING:
    from langfuse import Langfuse


def score(
    client: Langfuse,
    verdict: Verdict,
    criterion: Criterion,
    *,
    trace_id: str | None = None,
    observation_id: str | None = None,
    as_number: bool = False,
) -> None:
    """Send a verdict as a score under the name of its criterion. Sending the same verdict again replaces it.

    On an ordinal scale the score is a number (the expected score), for classes the label (CATEGORICAL).

    Args:
        client: the destination; it sends in the background, and ``client.flush()`` waits for it.
        trace_id, observation_id: of what was judged, in hex. Default: those in the verdict's id, written ``TRACE-OBSERVATION``
            or
            as a ``traceparent``.
        as_number: send ``grade``, 0 (fails) to 1, for classes too.

    Raises:
        EngineError: the verdict has no label.
        UsageError: no trace is named.
    """
    need("langfuse", "langfuse")
    if verdict.label is None:
        raise EngineError(no_label(verdict))
    if trace_id is None:
        from mene.integrations.otel.events import judged_span

        named = judged_span(verdict, "trace_id", "trace")
        trace_id, observation_id = f"{named.trace_id:032x}", f"{named.span_id:016x}"
    value: Any = verdict.label
    kind = "CATEGORICAL"
    if criterion.scale.kind == "ordinal":
        value, kind = (
            verdict.score if verdict.score is not None else float(verdict.label),
            "NUMERIC",
        )
    elif as_number:
        value, kind = grade(verdict, criterion), "NUMERIC"
    client.create_score(
        name=criterion.name,
        value=value,
        data_type=kind,  # type: ignore[arg-type]
        trace_id=trace_id,
        observation_id=observation_id,
        score_id="-".join((verdict.key, observation_id or trace_id, kind)) if verdict.key else None,
        comment=reason(verdict),
        metadata={
            "judge": verdict.judge,
            "probabilities": verdict.probabilities,
            "key": verdict.key,
        },
    )
