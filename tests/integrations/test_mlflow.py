"""The judge in the real `mlflow.genai.evaluate`, which keeps its results in a file."""

from __future__ import annotations

import os

import pytest

os.environ.update(
    MLFLOW_DISABLE_TELEMETRY="true", DO_NOT_TRACK="true", MLFLOW_ENABLE_ASYNC_TRACE_LOGGING="false", GIT_PYTHON_REFRESH="quiet"
)  # fmt: skip
pytest.importorskip("mlflow.genai")

import mlflow
from mlflow.genai.judges import Judge as MlflowJudge

from mene import Judge
from mene.integrations.mlflow import MeneJudge
from tests.integrations.scripted import JUDGE, Scripted


@pytest.fixture
def judge() -> Judge:
    return Judge(JUDGE, engine=Scripted())


def test_a_feedback(judge) -> None:
    faithful = MeneJudge("faithfulness", judge, explain=True)
    assert isinstance(faithful, MlflowJudge) and faithful.name == "faithfulness"
    assert (
        faithful.instructions.startswith("Is every claim") and faithful.feedback_value_type is bool
    )
    assert [field.name for field in faithful.get_input_fields()] == [
        "instruction",
        "response",
        "context",
    ]
    said = faithful(inputs={"question": "Who?", "context": "c"}, outputs="bad")
    assert said.value is False and said.rationale == "No (Yes 0.10, No 0.90)\nbecause of that"
    assert (said.source.source_type, said.source.source_id) == ("LLM_JUDGE", f"mene/{JUDGE}")
    assert said.metadata["label"] == "No" and said.metadata["p(Yes)"] == "0.1000"
    warm = MeneJudge("How warm?", judge, scale="1-5")
    assert (
        warm(outputs={"response": "good"}).value == pytest.approx(4.75)
        and warm.feedback_value_type is float
    )
    lacking = faithful(inputs={"question": "Who?"}, outputs="bad")
    assert lacking.value is None and '"context" is missing' in lacking.error.error_message


def test_evaluate(judge, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("MLFLOW_GENAI_EVAL_MAX_WORKERS", "1")
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'runs.db'}")
    mlflow.set_experiment("judged")
    data = [
        {
            "inputs": {"question": "Who?", "context": "c"},
            "outputs": text,
            "expectations": {"expected_response": "He."},
        }
        for text in ("good", "bad")
    ]
    result = mlflow.genai.evaluate(
        data=data, scorers=[MeneJudge("faithfulness", judge), MeneJudge("correctness", judge)]
    )
    assert result.metrics == {"faithfulness/mean": 0.5, "correctness/mean": 0.5}
