"""The metrics in the real Ragas."""

from __future__ import annotations

import asyncio
import os

import pytest

os.environ.update(RAGAS_DO_NOT_TRACK="true", HF_DATASETS_OFFLINE="1")
pytest.importorskip("ragas")

from ragas import EvaluationDataset, evaluate
from ragas.metrics.collections.base import BaseMetric

from mene import Judge
from mene.errors import SampleError
from mene.integrations.ragas import MeneMetric, MeneSingleTurn
from tests.integrations.scripted import JUDGE, Scripted


@pytest.fixture
def judge() -> Judge:
    return Judge(JUDGE, engine=Scripted())


ROWS = [
    {
        "user_input": "Who?",
        "response": "a good man",
        "retrieved_contexts": ["one", "two"],
        "reference": "He.",
    },
    {
        "user_input": "Who?",
        "response": "a bad man",
        "retrieved_contexts": ["one"],
        "reference": "He.",
    },
]


def test_a_metric_scores(judge) -> None:
    metric = MeneMetric("faithfulness", judge, explain=True)
    assert isinstance(metric, BaseMetric) and metric.name == "faithfulness"
    good, bad = metric.batch_score(ROWS)
    assert (good.value, good.reason) == (pytest.approx(0.9), "Yes (Yes 0.90, No 0.10)")
    assert bad.value == pytest.approx(0.1) and bad.reason.endswith("because of that")
    assert asyncio.run(
        MeneMetric("How warm?", judge, scale="1-5").ascore(response="good")
    ).value == pytest.approx(0.9375)
    with pytest.raises(SampleError, match='"context" is missing'):
        metric.score(response="good")


def test_evaluate(judge) -> None:
    faithful, correct = MeneSingleTurn("faithfulness", judge), MeneSingleTurn("correctness", judge)
    result = evaluate(
        EvaluationDataset.from_list(ROWS),
        metrics=[faithful, correct],
        show_progress=False,
        raise_exceptions=True,
    )
    assert (
        result["faithfulness"] == result["correctness"] == [pytest.approx(0.9), pytest.approx(0.1)]
    )
    assert len(faithful.verdicts) == 2
