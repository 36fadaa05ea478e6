"""mene in MLflow: a judge (which is a scorer) for ``mlflow.genai.evaluate``.

from mene.integrations.mlflow import MeneJudge
mlflow.genai.evaluate(data=data, scorers=[MeneJudge("faithfulness")])
"""

# pyright: reportMissingImports=false
from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from mene import Criterion, Judge, MeneError, Verdict
from mene.errors import ModelError, UsageError
from mene.integrations.ask import ask, criterion_of, judge_of
from mene.integrations.grade import fails, reason
from mene.integrations.need import need
from mene.integrations.row import row_of

need("mlflow.genai.judges", "mlflow")

from mlflow.entities import AssessmentSource, Feedback  # noqa: E402
from mlflow.genai.judges import Judge as MlflowJudge  # noqa: E402
from mlflow.genai.judges.base import JudgeField  # noqa: E402
from pydantic import PrivateAttr  # noqa: E402


class MeneJudge(MlflowJudge):
    """A criterion of mene.

    The value of a feedback is the expected score for an ordinal scale. For classes it is whether the label is not a failing one;
    without failing labels, it is the label. The metadata contain label and probabilities.

    Args:
        criterion: a name, a file, a question or a ``Criterion``.
        judge: a name, or a ``Judge``.
        scale: for a question, e.g. ``1-5``.
        explain: add a critique to the rationale of what fails.
    """

    _criterion: Criterion = PrivateAttr()
    _judge: Judge = PrivateAttr()
    _explain: bool = PrivateAttr(default=False)

    def __init__(
        self,
        criterion: str | Criterion,
        judge: str | Judge | None = None,
        scale: str | None = None,
        explain: bool = False,
    ) -> None:
        asked = criterion_of(criterion, scale)
        super().__init__(name=asked.name, description=asked.question)
        self._criterion, self._judge, self._explain = asked, judge_of(judge), explain

    @property
    def instructions(self) -> str:
        """Return the question."""
        return self._criterion.question

    @property
    def feedback_value_type(self) -> Any:
        """Return the type of its values."""
        if self._criterion.scale.kind == "ordinal":
            return float
        return bool if self._criterion.failing else Literal[self._criterion.scale.labels]  # type: ignore[valid-type]

    def get_input_fields(self) -> list[JudgeField]:
        """Return the fields that the criterion uses."""
        needed = self._criterion.needs
        return [
            JudgeField(
                name=field, description="needed" if field in needed else "shown if there is one"
            )
            for field in self._criterion.shown
        ]

    def __call__(
        self,
        *,
        inputs: Any = None,
        outputs: Any = None,
        expectations: Mapping[str, Any] | None = None,
    ) -> Feedback:
        """Return the feedback on one row; with an error if it cannot be judged. Without a judge the evaluation ends."""
        source = AssessmentSource(source_type="LLM_JUDGE", source_id=f"mene/{self._judge.name}")
        try:
            wanted = dict(expectations or {})
            row = row_of(inputs, outputs, wanted.get("expected_response", wanted))
            verdict = ask(self._judge, row, self._criterion, explain=self._explain)
        except (ModelError, UsageError):
            raise
        except MeneError as error:
            return Feedback(name=self.name, error=error, source=source)
        return Feedback(
            name=self.name,
            value=_value(verdict, self._criterion),
            rationale=reason(verdict),
            source=source,
            metadata=_said(verdict),
        )


def _value(verdict: Verdict, criterion: Criterion) -> Any:
    if criterion.scale.kind == "ordinal":
        return verdict.score if verdict.score is not None else float(verdict.label or "nan")
    return not fails(verdict, criterion) if criterion.failing else verdict.label


def _said(verdict: Verdict) -> dict[str, str]:
    """Return the metadata as texts, since MLflow stores only texts."""
    said = {"label": verdict.label or "", "key": verdict.key}
    return said | {f"p({label})": f"{p:.4f}" for label, p in (verdict.probabilities or {}).items()}
