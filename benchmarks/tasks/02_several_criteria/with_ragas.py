import csv, json
from openai import AsyncOpenAI
from ragas.llms import llm_factory
from ragas.metrics import DiscreteMetric
from ragas.metrics.collections import Faithfulness

llm = llm_factory("nano", client=AsyncOpenAI())
faithful = Faithfulness(llm=llm)
polite = DiscreteMetric(
    name="polite", prompt="Is the reply polite? Reply: {response}", allowed_values=["yes", "no"]
)
tone = DiscreteMetric(
    name="tone",
    prompt="Rate the tone of this reply, 1 to 5: {response}",
    allowed_values=list("12345"),
)
table = csv.writer(open("table.csv", "w"))
table.writerow(["id", "faithfulness", "tone", "polite"])
for r in map(json.loads, open("rows.jsonl")):
    first = faithful.score(
        user_input=r["instruction"], response=r["response"], retrieved_contexts=[r["context"]]
    )
    others = [metric.score(llm=llm, response=r["response"]) for metric in (tone, polite)]
    table.writerow([r["id"], first.value, *(one.value for one in others)])
