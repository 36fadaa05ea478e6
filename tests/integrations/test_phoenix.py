"""Annotations through the real Phoenix client, to a server played by httpx; the evaluator in the real phoenix.evals."""

from __future__ import annotations

import json

import httpx
import pytest

pytest.importorskip("phoenix.client")

from phoenix.client import Client

from mene import Judge, Verdict
from mene.criterion import load_criterion
from mene.errors import EngineError, UsageError
from mene.integrations.phoenix import annotate, evaluator
from tests.integrations.scripted import JUDGE, Scripted

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.fixture
def judge() -> Judge:
    return Judge(JUDGE, engine=Scripted())


def test_a_verdict_is_an_annotation(judge) -> None:
    posted: list[httpx.Request] = []

    def server(request: httpx.Request) -> httpx.Response:
        posted.append(request)
        return httpx.Response(200, json={"data": [{"id": "1"}]})

    client = Client(
        http_client=httpx.Client(transport=httpx.MockTransport(server), base_url="http://phoenix")
    )
    criterion = load_criterion("faithfulness")
    verdict = judge(
        {"id": f"00-{TRACE}-{SPAN}-01", "response": "bad", "context": "c"}, criterion=criterion
    )
    annotate(client, verdict, criterion, wait=True)
    [said] = json.loads(posted[-1].content)["data"]
    assert posted[-1].url.path.endswith("span_annotations")
    assert (
        said["span_id"] == SPAN
        and said["name"] == "faithfulness"
        and said["annotator_kind"] == "LLM"
    )
    assert said["result"]["label"] == "No" and said["result"]["score"] == pytest.approx(0.1)
    assert said["result"]["explanation"] == "No (Yes 0.10, No 0.90)" and said["identifier"] == JUDGE
    with pytest.raises(UsageError, match='the verdict\'s id "7" names none'):
        annotate(client, Verdict(id="7", label="Yes"), criterion)
    with pytest.raises(EngineError, match="it broke"):
        annotate(client, Verdict(error="it broke"), criterion, span_id=SPAN)
    assert len(posted) == 1


def test_an_evaluator(judge) -> None:
    pytest.importorskip("phoenix.evals")
    pandas = pytest.importorskip("pandas")
    from phoenix.evals import evaluate_dataframe

    [said] = evaluator("How warm?", judge, scale="1-5").evaluate({"output": "good"})
    assert (said.name, said.label, said.kind) == (
        "how-warm",
        "5",
        "llm",
    ) and said.score == pytest.approx(0.9375)
    frame = pandas.DataFrame(
        {
            "output": ["good", "bad"],
            "context": ["c", "c"],
            "input": ["i", "i"],
            "reference": ["r", "r"],
        }
    )
    done = evaluate_dataframe(frame, [evaluator("faithfulness", judge)])
    labels = [
        json.loads(one)["label"] if isinstance(one, str) else one["label"]
        for one in done["faithfulness_score"]
    ]
    assert labels == ["Yes", "No"]
