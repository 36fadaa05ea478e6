"""mene in Opik: a metric.

from mene.integrations.opik import MeneMetric
opik.evaluate(dataset=…, task=…, scoring_metrics=[MeneMetric("faithfulness")])
"""

# pyright: reportMissingImports=false
from __future__ import annotations

from typing import Any

from mene import Criterion, Judge
from mene.integrations.ask import ask, criterion_of, judge_of
from mene.integrations.grade import grade, reason
from mene.integrations.need import need

need("opik", "opik")

from opik.evaluation.metrics.base_metric import BaseMetric  # noqa: E402
from opik.evaluation.metrics.score_result import ScoreResult  # noqa: E402


class MeneMetric(BaseMetric):
    """A criterion of mene; its value is ``grade``: 0 (fails) to 1.

    Args:
        criterion: a name, a file, a question or a ``Criterion``.
        judge: a name, or a ``Judge``.
        scale: for a question, e.g. ``1-5``.
        explain: add a critique to the reason of what fails.
        track: send each call to Opik as a separate trace; ``opik.evaluate`` stores the scores in either case.
    """

    def __init__(
        self,
        criterion: str | Criterion,
        judge: str | Judge | None = None,
        scale: str | None = None,
        explain: bool = False,
        track: bool = False,
    ) -> None:
        self._criterion, self._judge = criterion_of(criterion, scale), judge_of(judge)
        self._explain = explain
        super().__init__(name=self._criterion.name, track=track)

    def score(
        self,
        output: Any,
        input: Any = None,
        context: Any = None,
        expected_output: Any = None,
        **ignored: Any,
    ) -> ScoreResult:
        """Return the score of one item; Opik passes its fields under these names, and others.

        Raises:
            SampleError: a field that the criterion needs is missing.
        """
        reference = ignored.get("reference") if expected_output is None else expected_output
        row = {"instruction": input, "response": output, "context": context, "reference": reference}
        verdict = ask(self._judge, row, self._criterion, explain=self._explain)
        return ScoreResult(
            name=self.name,
            value=grade(verdict, self._criterion),
            reason=reason(verdict),
            category_name=verdict.label,
            metadata={"judge": verdict.judge, "probabilities": verdict.probabilities},
        )
