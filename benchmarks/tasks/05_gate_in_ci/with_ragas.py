import json, sys
from openai import AsyncOpenAI
from ragas.llms import llm_factory
from ragas.metrics.collections import Faithfulness
from scipy.stats import binomtest

metric, passed = Faithfulness(llm=llm_factory("nano", client=AsyncOpenAI())), []
for r in map(json.loads, open("rows.jsonl")):
    result = metric.score(
        user_input=r["instruction"], response=r["response"], retrieved_contexts=[r["context"]]
    )
    passed.append(result.value >= 0.5)
interval = binomtest(sum(passed), len(passed)).proportion_ci()
print(sum(passed), "of", len(passed), interval)
sys.exit(0 if interval.low >= 0.5 else 3 if interval.high < 0.5 else 4)
