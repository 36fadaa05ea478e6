"""mene in Inspect: a scorer.

    from mene.integrations.inspect_ai import judged
    Task(dataset, solver=generate(), scorer=judged("faithfulness"))

``inspect score LOG --scorer mene/judged -S criterion=faithfulness`` judges a log that is there already.
"""

# pyright: reportMissingImports=false
from __future__ import annotations

from functools import partial
from typing import Any

from mene import Criterion, Judge, MeneError, Verdict
from mene.errors import ModelError, UsageError
from mene.integrations.ask import ask, criterion_of, judge_of
from mene.integrations.grade import fails, grade, reason
from mene.integrations.need import need

need("inspect_ai", "inspect")

from anyio import to_thread  # noqa: E402
from inspect_ai.scorer import CORRECT, INCORRECT, Score, Scorer, Target, accuracy, scorer, stderr  # noqa: E402
from inspect_ai.solver import TaskState  # noqa: E402


@scorer(metrics=[accuracy(), stderr()])
def judged(
    criterion: str | Criterion = "correctness",
    judge: str | Judge | None = None,
    scale: str | None = None,
    explain: bool = False,
    context: str = "context",
) -> Scorer:
    """Return a scorer that judges the output of every sample.

    For classes the value is correct (C) or incorrect (I), on an ordinal scale ``grade``, 0 to 1. The metadata have the label
    and
    all probabilities. A sample that cannot be judged is left unscored, with the reason; without a judge, the evaluation ends.

    Args:
        criterion: a name, a file, a question or a ``Criterion``.
        judge: a name, or a ``Judge``.
        scale: for a question, e.g. ``1-5``.
        explain: add a critique to failing samples.
        context: key of the documents in a sample's metadata.
    """
    asked, by = criterion_of(criterion, scale), judge_of(judge)

    async def score(state: TaskState, target: Target) -> Score:
        answer = state.output.completion
        row = {
            "instruction": state.input_text,
            "response": answer,
            "context": state.metadata.get(context),
            "reference": target.text or None,
        }
        try:
            verdict = await to_thread.run_sync(partial(ask, by, row, asked, explain=explain))
            return _score(verdict, asked, answer)
        except (ModelError, UsageError):
            raise
        except MeneError as error:
            return Score.unscored(reason="grader_failed", answer=answer, explanation=str(error))

    return score


def _score(verdict: Verdict, criterion: Criterion, answer: str) -> Score:
    value: Any = grade(verdict, criterion)
    if criterion.scale.kind != "ordinal":
        value = INCORRECT if fails(verdict, criterion) else CORRECT
    said = {
        "label": verdict.label,
        "score": verdict.score,
        "probabilities": verdict.probabilities,
        "judge": verdict.judge,
        "key": verdict.key,
    }
    return Score(value=value, answer=answer, explanation=reason(verdict), metadata=said)
