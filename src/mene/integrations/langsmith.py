"""mene in LangSmith, and wherever openevals' evaluators work: a function of inputs, outputs and reference outputs.

    from mene.integrations.langsmith import evaluator
    client.evaluate(target, data="my dataset", evaluators=[evaluator("correctness")])

It needs neither package: both accept a plain function that returns ``{key, score, value, comment}``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mene import Criterion, Judge
from mene.integrations.ask import ask, criterion_of, judge_of
from mene.integrations.grade import grade, reason
from mene.integrations.row import row_of


def evaluator(
    criterion: str | Criterion,
    judge: str | Judge | None = None,
    scale: str | None = None,
    explain: bool = False,
) -> Callable[..., dict[str, Any]]:
    """Return an evaluator; its ``score`` is ``grade``, 0 (fails) to 1, its ``value`` the label.

    Args:
        criterion: a name, a file, a question or a ``Criterion``.
        judge: a name, or a ``Judge``.
        scale: for a question, e.g. ``1-5``.
        explain: add a critique to the comment of what fails.
    """
    asked, by = criterion_of(criterion, scale), judge_of(judge)

    def judged(
        inputs: Any = None, outputs: Any = None, reference_outputs: Any = None
    ) -> dict[str, Any]:
        verdict = ask(by, row_of(inputs, outputs, reference_outputs), asked, explain=explain)
        return {
            "key": asked.name,
            "score": grade(verdict, asked),
            "value": verdict.label,
            "comment": reason(verdict),
            "metadata": {"judge": verdict.judge, "probabilities": verdict.probabilities},
        }

    judged.__name__ = asked.name
    return judged
