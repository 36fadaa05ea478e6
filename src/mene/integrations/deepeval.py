"""mene in DeepEval: a metric, an arena metric, and a System One model for ``JevEval``.

from mene.integrations.deepeval import MeneMetric
deepeval.assert_test(test_case, [MeneMetric("faithfulness")])
"""

# pyright: reportMissingImports=false
from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from itertools import combinations
from typing import Any

from mene import Criterion, Judge, MeneError, Sample, Scale, Verdict
from mene.errors import SampleError, UsageError
from mene.integrations.ask import ask, criterion_of, judge_of, seats, win
from mene.integrations.grade import grade, reason, said_of
from mene.integrations.need import need
from mene.values.fields import ALIASES

need("deepeval", "deepeval")

from deepeval.errors import MissingTestCaseParamsError  # noqa: E402
from deepeval.metrics import BaseArenaMetric, BaseMetric  # noqa: E402
from deepeval.models import DeepEvalBaseSystemOneModel  # noqa: E402
from deepeval.models.system_one.schema import (  # noqa: E402
    ChoiceAnswer,
    ChoiceQuestion,
    NoulAnswer,
    NoulQuestion,
    ScoreAnswer,
    SystemOneAnswers,
)
from deepeval.models.utils import EvaluationCost  # noqa: E402
from deepeval.test_case import ArenaTestCase, LLMTestCase  # noqa: E402


class MeneMetric(BaseMetric):
    """A criterion of mene as a metric; its score is ``grade``: 0 (fails) to 1.

    Args:
        criterion: a name, a file, a question or a ``Criterion``.
        judge: a name, or a ``Judge``; metrics that name the same judge share it.
        threshold: the lowest score that passes.
        scale: for a question, e.g. ``1-5``.
        explain: add a critique to ``reason`` if a test case fails.

    Attributes:
        verdict: the last one.
    """

    def __init__(
        self,
        criterion: str | Criterion,
        judge: str | Judge | None = None,
        threshold: float = 0.5,
        scale: str | None = None,
        explain: bool = False,
        async_mode: bool = True,
    ) -> None:
        # DeepEval copies a metric by its arguments, which it reads from the attributes of the same names.
        self.criterion, self.scale = criterion_of(criterion, scale), None
        self.judge = judge_of(judge)
        self.threshold, self.explain, self.async_mode = threshold, explain, async_mode
        self.evaluation_model = self.judge.name
        self.verdict: Verdict | None = None

    def measure(self, test_case: LLMTestCase, *_: Any, **__: Any) -> float:
        """Return the score for ``input``, ``actual_output``, ``expected_output``, and ``retrieval_context`` (or ``context``)."""
        self.error = None
        try:
            self.verdict = ask(self.judge, row_of(test_case), self.criterion, explain=self.explain)
        except SampleError as error:
            self.error = str(error)
            raise MissingTestCaseParamsError(self.error) from None
        except MeneError as error:
            self.error = str(error)
            raise
        self.score = grade(self.verdict, self.criterion)
        self.score_breakdown = self.verdict.probabilities or {}
        self.confidence = self.verdict.confidence
        self.reason = reason(self.verdict)
        self.evaluation_cost = 0.0
        self.input_tokens = self.verdict.usage.prompt_tokens
        self.output_tokens = self.verdict.usage.completion_tokens
        self.is_successful()
        return self.score

    async def a_measure(self, test_case: LLMTestCase, *_: Any, **__: Any) -> float:
        """Return the same as ``measure``; runs in a thread, so that the event loop is not blocked."""
        return await asyncio.to_thread(self.measure, test_case)

    @property
    def __name__(self) -> str:
        return f"{self.criterion.name} [mene]"


class MeneArenaMetric(BaseArenaMetric):
    """Finds the best contestant, by a criterion that compares two responses. More than two are compared in all pairs.

    Call ``measure``: DeepEval's ``compare`` (4.3) accepts only its own ``ArenaGEval``.

    Attributes:
        wins: contestant -> mean probability of being the better one.
    """

    def __init__(
        self, criterion: str | Criterion = "preference", judge: str | Judge | None = None
    ) -> None:
        self.criterion = seats(criterion_of(criterion))
        self.judge = judge_of(judge)
        self.name = self.criterion.name
        self.evaluation_model = self.judge.name
        self.wins: dict[str, float] = {}

    def measure(self, test_case: ArenaTestCase, *_: Any, **__: Any) -> str:
        """Return the name of the best; among equals, the first."""
        self.error, self.success = None, False
        if len(test_case.contestants) < 2:
            raise UsageError("an arena has two contestants or more")
        totals = {one.name: 0.0 for one in test_case.contestants}
        said = []
        try:
            for a, b in combinations(test_case.contestants, 2):
                row = row_of(a.test_case)
                row["response_a"], row["response_b"] = (
                    row.pop("response"),
                    b.test_case.actual_output,
                )
                verdict = ask(self.judge, row, self.criterion)
                totals[a.name] += win(verdict)
                totals[b.name] += 1 - win(verdict)
                said.append(f"A = {a.name}, B = {b.name}: {said_of(verdict)}")
        except MeneError as error:
            self.error = str(error)
            raise
        rivals = len(totals) - 1
        self.wins = {name: total / rivals for name, total in totals.items()}
        self.winner = max(self.wins, key=lambda name: self.wins[name])
        self.reason, self.success = "\n".join(said), True
        self.evaluation_cost = 0.0
        return self.winner

    async def a_measure(self, test_case: ArenaTestCase, *_: Any, **__: Any) -> str:
        """Return the same as ``measure``; runs in a thread."""
        return await asyncio.to_thread(self.measure, test_case)

    def is_successful(self) -> bool:
        """Return whether the last test case was judged."""
        return bool(self.success)

    @property
    def __name__(self) -> str:
        return f"{self.name} [mene]"


def row_of(test_case: LLMTestCase) -> dict[str, Any]:
    """Return the fields of a test case that the judge sees."""
    return {
        "instruction": test_case.input,
        "response": test_case.actual_output,
        "context": test_case.retrieval_context or test_case.context,
        "reference": test_case.expected_output,
    }


class MeneSystemOne(DeepEvalBaseSystemOneModel):
    """Answers the questions of ``JevEval`` in this process: ``JevEval(…, system_one_model=MeneSystemOne())``."""

    def __init__(self, judge: str | Judge | None = None) -> None:
        self.judge = judge_of(judge)
        super().__init__(self.judge.name)

    def load_model(self, *_: Any, **__: Any) -> Judge:
        """Return the judge."""
        return self.judge

    def get_model_name(self, *_: Any, **__: Any) -> str:
        """Return the judge's name."""
        return self.judge.name

    def decide(self, state: Any, questions: Mapping[str, Any]) -> tuple[SystemOneAnswers, Any]:
        """Return the probability of every option of every question about a state.

        Raises:
            MeneError: one of them cannot be judged.
        """
        answers, read, written = SystemOneAnswers(), 0, 0
        sample = _sample(state)
        for name, question in questions.items():
            verdict = ask(self.judge, sample, _criterion(question))
            read += verdict.usage.prompt_tokens
            written += verdict.usage.completion_tokens
            _answer(answers, name, question, verdict)
        return answers, EvaluationCost(0.0, read, written)

    async def a_decide(
        self, state: Any, questions: Mapping[str, Any]
    ) -> tuple[SystemOneAnswers, Any]:
        """Return the same as ``decide``; runs in a thread."""
        return await asyncio.to_thread(self.decide, state, questions)


def _sample(state: Any) -> Sample:
    """Return a state as a sample: its fields, if mene knows all their names; else the whole state as one text, so that nothing
    is lost."""
    if isinstance(state, Mapping) and len(state) == 1:
        [inner] = state.values()
        state = inner if isinstance(inner, Mapping) else state
    if isinstance(state, Mapping):
        fields = ("instruction", "response", "context", "reference")
        known = {name for field in fields for name in ALIASES[field]}
        sample = Sample.from_row(state) if state.keys() <= known else Sample()
        read = sum(getattr(sample, field) is not None for field in fields)
        if sample.response is not None and read == len(state):
            return sample
    return Sample(response=_text(state))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _criterion(question: Any) -> Criterion:
    text = _text(question.instructions)
    if isinstance(question, NoulQuestion):
        meant = {"Yes": question.true, "No": question.false}
        if None in meant.values():  # a criterion describes all labels or none
            text += "".join(f"\n{k} means: {_text(v)}" for k, v in meant.items() if v is not None)
            meant = {}
        return _made(text, Scale.binary(), {k: _text(v) for k, v in meant.items()})
    if isinstance(question, ChoiceQuestion):
        meant = {name: _text(name if v is None else v) for name, v in question.options.items()}
        return _made(text, Scale.classes(*meant), meant)
    levels = {str(n): _text(level) for n, level in enumerate(question.levels)}
    return _made(text, Scale.likert(0, len(levels) - 1), levels)


def _made(question: str, scale: Scale, labels: dict[str, str]) -> Criterion:
    return Criterion(question=question, scale=scale, labels=labels)


def _answer(answers: SystemOneAnswers, name: str, question: Any, verdict: Verdict) -> None:
    given = verdict.probabilities
    if given is None:
        raise UsageError(
            f"{verdict.judge} gives no probabilities, but System One needs them; use another judge"
        )
    if isinstance(question, NoulQuestion):
        answers.nouls[name] = NoulAnswer(probability=given["Yes"])
        return
    # As defined by the publisher's API: 0 if all are equally likely, 1 if one is certain.
    sure = (len(given) * max(given.values()) - 1) / (len(given) - 1)
    if isinstance(question, ChoiceQuestion):
        answers.choices[name] = ChoiceAnswer(
            choice=verdict.label, probabilities=given, confidence=sure
        )
        return
    levels = {int(level): p for level, p in given.items()}
    score = sum(level * p for level, p in levels.items())
    answers.scores[name] = ScoreAnswer(score=score, probabilities=levels, confidence=sure)
