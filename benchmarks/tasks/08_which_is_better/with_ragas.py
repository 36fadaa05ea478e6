import json
from openai import AsyncOpenAI
from ragas.llms import llm_factory
from ragas.metrics import DiscreteMetric

llm = llm_factory("nano", client=AsyncOpenAI())
metric = DiscreteMetric(
    name="better",
    prompt="Which response is better? Task: {instruction}\nA: {response_a}\nB: {response_b}",
    allowed_values=["A", "B"],
)
for r in map(json.loads, open("pairs.jsonl")):
    asked = {"instruction": r["instruction"], "llm": llm}
    first = metric.score(response_a=r["response_a"], response_b=r["response_b"], **asked)
    second = metric.score(response_a=r["response_b"], response_b=r["response_a"], **asked)
    same = first.value != second.value  # the seats were exchanged
    print(r["id"], first.value if same else "depends on the order")
