"""The metric in the real Opik; nothing is sent."""

from __future__ import annotations

import asyncio
import os

import pytest

os.environ.update(
    OPIK_TRACK_DISABLE="true", OPIK_SENTRY_ENABLE="false", OPIK_URL_OVERRIDE="http://127.0.0.1:9"
)
pytest.importorskip("opik")

from opik.evaluation.metrics import BaseMetric

from mene import Judge
from mene.errors import SampleError
from mene.integrations.opik import MeneMetric
from tests.integrations.scripted import JUDGE, Scripted


@pytest.fixture
def judge() -> Judge:
    return Judge(JUDGE, engine=Scripted())


def test_a_metric(judge) -> None:
    metric = MeneMetric("faithfulness", judge, explain=True)
    assert isinstance(metric, BaseMetric) and metric.name == "faithfulness"
    good = metric.score(input="Who?", output="a good man", context=["one"], further="ignored")
    assert (good.value, good.reason, good.category_name) == (
        pytest.approx(0.9),
        "Yes (Yes 0.90, No 0.10)",
        "Yes",
    )
    bad = asyncio.run(metric.ascore(output="a bad man", context=["one"]))
    assert bad.value == pytest.approx(0.1) and bad.reason.endswith("because of that")
    with pytest.raises(SampleError, match='"context" is missing'):
        metric.score(output="good")
    assert MeneMetric("correctness", judge).score(
        output="good", expected_output="x"
    ).value == pytest.approx(0.9)
