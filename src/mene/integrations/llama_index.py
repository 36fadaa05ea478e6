"""mene in LlamaIndex: an evaluator.

from mene.integrations.llama_index import MeneEvaluator
result = MeneEvaluator("faithfulness").evaluate_response(query=question, response=engine.query(question))
"""

# pyright: reportMissingImports=false
from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from mene import Criterion, Judge, MeneError
from mene.errors import ModelError, UsageError
from mene.integrations.ask import ask, criterion_of, judge_of
from mene.integrations.grade import fails, grade, reason
from mene.integrations.need import need

need("llama_index.core.evaluation", "llama-index")

from llama_index.core.evaluation import BaseEvaluator, EvaluationResult  # noqa: E402


class MeneEvaluator(BaseEvaluator):
    """A criterion of mene. ``score`` is ``grade``, 0 (fails) to 1; ``passing`` is whether the label is not a failing one.

    Args:
        criterion: a name, a file, a question or a ``Criterion``.
        judge: a name, or a ``Judge``; evaluators that name the same judge share it.
        scale: for a question, e.g. ``1-5``.
        explain: add a critique to the feedback of what fails.
    """

    def __init__(
        self,
        criterion: str | Criterion,
        judge: str | Judge | None = None,
        scale: str | None = None,
        explain: bool = False,
    ) -> None:
        self._criterion, self._judge = criterion_of(criterion, scale), judge_of(judge)
        self._explain = explain

    def _get_prompts(self) -> dict[str, Any]:
        return {}

    def _update_prompts(self, prompts_dict: Any) -> None:
        """Do nothing: the prompts are mene's templates, and cannot be replaced."""

    async def aevaluate(
        self,
        query: str | None = None,
        response: str | None = None,
        contexts: Sequence[str] | None = None,
        reference: str | None = None,
        **_: Any,
    ) -> EvaluationResult:
        """Return the result for a response; an invalid result if it cannot be judged.

        Raises:
            ModelError: there is no judge.
            UsageError: the criterion cannot be used here.
        """
        said = {"query": query, "response": response, "contexts": contexts}
        row = {
            "instruction": query,
            "response": response,
            "context": list(contexts) if contexts else None,
            "reference": reference,
        }
        try:
            verdict = await asyncio.to_thread(
                ask, self._judge, row, self._criterion, explain=self._explain
            )
        except (ModelError, UsageError):
            raise
        except MeneError as error:
            return EvaluationResult(**said, invalid_result=True, invalid_reason=str(error))
        return EvaluationResult(
            **said,
            passing=not fails(verdict, self._criterion),
            score=grade(verdict, self._criterion),
            feedback=reason(verdict),
        )
