# run: pytest with_ragas.py
from openai import AsyncOpenAI
from ragas.llms import llm_factory
from ragas.metrics.collections import Faithfulness


def test_opening_hours():
    metric = Faithfulness(llm=llm_factory("nano", client=AsyncOpenAI()))
    result = metric.score(
        user_input="When does it open?",
        response="It opens at nine.",
        retrieved_contexts=["The shop opens at nine."],
    )
    assert result.value >= 0.5
