"""mene in Phoenix: verdicts as annotations of spans, and an evaluator for ``phoenix.evals``.

from mene.integrations.phoenix import annotate, evaluator
annotate(phoenix.client.Client(), verdict, criterion, span_id=…)
evaluate_dataframe(frame, [evaluator("faithfulness")])
"""

# pyright: reportMissingImports=false
from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mene import Criterion, Judge, Verdict
from mene.errors import EngineError, UsageError
from mene.integrations.ask import ask, criterion_of, judge_of
from mene.integrations.grade import grade, no_label, reason
from mene.integrations.need import need

if TYPE_CHECKING:
    from phoenix.client import Client


def annotate(
    client: Client,
    verdict: Verdict,
    criterion: Criterion,
    *,
    span_id: str | None = None,
    wait: bool = False,
) -> None:
    """Write a verdict as an annotation of the judged span. The same judge's next one on it replaces it.

    Args:
        span_id: in hex. Default: the one in the verdict's id, written ``TRACE-SPAN`` or as a ``traceparent``.
        wait: block until the server has stored it.

    Raises:
        EngineError: the verdict has no label.
        UsageError: no span is named.
    """
    need("phoenix.client", "phoenix")
    if verdict.label is None:
        raise EngineError(no_label(verdict))
    if span_id is None:
        from mene.integrations.otel.events import judged_span

        span_id = f"{judged_span(verdict, 'span_id', 'span').span_id:016x}"
    client.spans.add_span_annotation(
        span_id=span_id,
        annotation_name=criterion.name,
        annotator_kind="LLM",
        label=verdict.label,
        score=_score(verdict, criterion),
        explanation=reason(verdict),
        metadata={"probabilities": verdict.probabilities, "key": verdict.key},
        identifier=verdict.judge,
        sync=wait,
    )


def evaluator(
    criterion: str | Criterion,
    judge: str | Judge | None = None,
    scale: str | None = None,
    explain: bool = False,
) -> Any:
    """An evaluator for ``phoenix.evals``: it reads ``input``, ``output``, ``context`` and ``reference``, as the criterion needs.

    Args:
        criterion: a name, a file, a question or a ``Criterion``.
        judge: a name, or a ``Judge``.
        scale: of a question, ``1-5``.
        explain: what fails gets a critique, in the explanation.
    """
    need("phoenix.evals", "phoenix")
    from phoenix.evals import create_evaluator
    from phoenix.evals.evaluators import Score

    asked, by = criterion_of(criterion, scale), judge_of(judge)

    @create_evaluator(name=asked.name, kind="llm")
    def judged(output: Any, input: Any = None, context: Any = None, reference: Any = None) -> Score:
        row = {"instruction": input, "response": output, "context": context, "reference": reference}
        verdict = ask(by, row, asked, explain=explain)
        return Score(
            name=asked.name,
            score=_score(verdict, asked),
            label=verdict.label,
            explanation=reason(verdict),
            metadata={"probabilities": verdict.probabilities, "judge": verdict.judge},
            kind="llm",
            direction="maximize",
        )

    return judged


def _score(verdict: Verdict, criterion: Criterion) -> float | None:
    """Return 0 (fails) to 1; None for classes without failing labels."""
    try:
        return grade(verdict, criterion)
    except UsageError:
        return None
