"""The evaluator in the real LlamaIndex."""

from __future__ import annotations

import asyncio

import pytest

pytest.importorskip("llama_index.core")

from llama_index.core.base.response.schema import Response
from llama_index.core.evaluation import BatchEvalRunner
from llama_index.core.schema import NodeWithScore, TextNode

from mene import Judge
from mene.integrations.llama_index import MeneEvaluator
from tests.integrations.scripted import JUDGE, Scripted


@pytest.fixture
def judge() -> Judge:
    return Judge(JUDGE, engine=Scripted())


def test_a_response_is_judged_by_its_nodes(judge) -> None:
    evaluator = MeneEvaluator("faithfulness", judge, explain=True)
    nodes = [NodeWithScore(node=TextNode(text="He was good."))]
    good = evaluator.evaluate_response(
        query="Who?", response=Response("a good man", source_nodes=nodes)
    )
    assert (good.passing, good.score, good.feedback) == (
        True,
        pytest.approx(0.9),
        "Yes (Yes 0.90, No 0.10)",
    )
    bad = evaluator.evaluate(query="Who?", response="a bad man", contexts=["He."])
    assert bad.passing is False and bad.feedback.endswith("because of that")
    lacking = evaluator.evaluate(query="Who?", response="a bad man")
    assert lacking.invalid_result and '"context" is missing' in lacking.invalid_reason
    assert MeneEvaluator("correctness", judge).evaluate(response="good", reference="He.").passing


def test_many_at_once(judge) -> None:
    runner = BatchEvalRunner({"f": MeneEvaluator("faithfulness", judge)}, workers=2)
    done = asyncio.run(
        runner.aevaluate_response_strs(
            queries=["a", "b"], response_strs=["good", "bad"], contexts_list=[["c"], ["c"]]
        )
    )
    assert [one.passing for one in done["f"]] == [True, False]
