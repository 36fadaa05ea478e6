"""mene in Ragas: a metric for experiments (``ascore``), and one for ``ragas.evaluate``.

from mene.integrations.ragas import MeneMetric
result = await MeneMetric("faithfulness").ascore(response=…, retrieved_contexts=[…])
"""

# pyright: reportMissingImports=false
from __future__ import annotations

import asyncio
from typing import Any

from mene import Criterion, Judge, Verdict
from mene.integrations.ask import ask, criterion_of, judge_of
from mene.integrations.grade import grade, reason
from mene.integrations.need import need

need("ragas", "ragas")

from ragas.dataset_schema import SingleTurnSample  # noqa: E402
from ragas.metrics.base import MetricType, SingleTurnMetric  # noqa: E402
from ragas.metrics.collections.base import BaseMetric  # noqa: E402
from ragas.metrics.result import MetricResult  # noqa: E402

# Ragas' column -> the field of mene that it fills.
COLUMNS = {
    "instruction": "user_input",
    "response": "response",
    "context": "retrieved_contexts",
    "reference": "reference",
}


class MeneMetric(BaseMetric):
    """A criterion of mene; its value is ``grade``, 0 (fails) to 1; the reason contains label and probabilities.

    Args:
        criterion: a name, a file, a question or a ``Criterion``.
        judge: a name, or a ``Judge``; metrics that name the same judge share it.
        scale: for a question, e.g. ``1-5``.
        explain: add a critique to the reason of what fails.
    """

    def __init__(
        self,
        criterion: str | Criterion,
        judge: str | Judge | None = None,
        scale: str | None = None,
        explain: bool = False,
    ) -> None:
        self.criterion, self.judge = criterion_of(criterion, scale), judge_of(judge)
        self.explain = explain
        super().__init__(name=self.criterion.name)

    async def ascore(self, **fields: Any) -> MetricResult:
        """Return the result for ``user_input``, ``response``, ``retrieved_contexts`` and ``reference`` (or mene's own names).

        Raises:
            SampleError: a field that the criterion needs is missing.
        """
        verdict = await asyncio.to_thread(
            ask, self.judge, fields, self.criterion, explain=self.explain
        )
        return MetricResult(value=grade(verdict, self.criterion), reason=reason(verdict))


class MeneSingleTurn(SingleTurnMetric):
    """The same for ``ragas.evaluate(dataset, metrics=[…])``; the score only, since Ragas stores no reasons there.

    Args:
        criterion, judge, scale: see ``MeneMetric``.

    Attributes:
        verdicts: all verdicts, in the order in which they were made.
    """

    def __init__(
        self,
        criterion: str | Criterion,
        judge: str | Judge | None = None,
        scale: str | None = None,
    ) -> None:
        self.criterion, self.judge = criterion_of(criterion, scale), judge_of(judge)
        self.verdicts: list[Verdict] = []
        self.name = self.criterion.name
        needed = {COLUMNS[f] for f in self.criterion.needs if f in COLUMNS}
        used = {f"{COLUMNS[f]}:optional" for f in self.criterion.uses if f in COLUMNS}
        self._required_columns = {MetricType.SINGLE_TURN: needed | used}
        self.__post_init__()

    def init(self, run_config: Any) -> None:
        """Do nothing: Ragas requires the method."""

    async def _single_turn_ascore(self, sample: SingleTurnSample, callbacks: Any = None) -> float:
        row = {field: getattr(sample, column) for field, column in COLUMNS.items()}
        verdict = await asyncio.to_thread(ask, self.judge, row, self.criterion)
        self.verdicts.append(verdict)
        return grade(verdict, self.criterion)
