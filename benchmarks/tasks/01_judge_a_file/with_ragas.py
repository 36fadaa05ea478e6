import json
from openai import AsyncOpenAI
from ragas.llms import llm_factory
from ragas.metrics.collections import Faithfulness

metric = Faithfulness(llm=llm_factory("nano", client=AsyncOpenAI()))
rows = [json.loads(line) for line in open("rows.jsonl")]
inputs = [
    {
        "user_input": r["instruction"],
        "response": r["response"],
        "retrieved_contexts": [r["context"]],
    }
    for r in rows
]
for row, result in zip(rows, metric.batch_score(inputs)):
    print(row["id"], result.value)
