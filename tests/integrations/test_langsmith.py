"""The evaluator, as LangSmith's `evaluate` calls it, and as a plain function."""

from __future__ import annotations

import os

import pytest

from mene import Judge
from mene.errors import SampleError
from mene.integrations.langsmith import evaluator
from tests.integrations.scripted import JUDGE, Scripted

os.environ.update(LANGSMITH_TRACING="false")


@pytest.fixture
def judge() -> Judge:
    return Judge(JUDGE, engine=Scripted())


def test_a_function_of_inputs_and_outputs(judge) -> None:
    check = evaluator("faithfulness", judge, explain=True)
    said = check(inputs={"question": "Who?", "context": "A man."}, outputs={"answer": "bad"})
    assert said == {
        "key": "faithfulness",
        "score": pytest.approx(0.1),
        "value": "No",
        "comment": "No (Yes 0.10, No 0.90)\nbecause of that",
        "metadata": {"judge": JUDGE, "probabilities": {"Yes": 0.1, "No": 0.9}},
    }
    check = evaluator("correctness", judge)
    assert (
        check(inputs="Who?", outputs="good", reference_outputs={"answer": "He."})["value"] == "Yes"
    )
    with pytest.raises(SampleError, match='"reference" is missing'):
        check(inputs="Who?", outputs={"text": "good"})


def test_langsmith_takes_it(judge) -> None:
    evaluation = pytest.importorskip("langsmith.evaluation")
    from langsmith.evaluation.evaluator import run_evaluator
    from langsmith.schemas import Example, Run

    run = Run(
        id="00000000-0000-0000-0000-000000000001",
        name="r",
        run_type="chain",
        start_time="2026-01-01T00:00:00",
        inputs={"question": "Who?"},
        outputs={"answer": "good"},
        trace_id="00000000-0000-0000-0000-000000000001",
    )
    example = Example(
        id="00000000-0000-0000-0000-000000000002",
        inputs={"question": "Who?"},
        outputs={"answer": "He."},
    )
    result = run_evaluator(evaluator("correctness", judge)).evaluate_run(run, example)
    assert isinstance(result, evaluation.EvaluationResult)
    assert (result.key, result.score, result.value) == ("correctness", pytest.approx(0.9), "Yes")


def test_openevals_takes_it(judge) -> None:
    pytest.importorskip("openevals")
    from openevals.utils import _run_evaluator

    def scored(**fields):
        said = evaluator("correctness", judge)(**fields)
        return said["score"], said["comment"]

    said = _run_evaluator(
        run_name="mene",
        scorer=scored,
        feedback_key="correctness",
        inputs="Who?",
        outputs="good",
        reference_outputs="He.",
    )
    assert said["key"] == "correctness" and said["score"] == pytest.approx(0.9)
