import json
from openai import AsyncOpenAI
from ragas.llms import llm_factory
from ragas.metrics.collections import Faithfulness
from scipy.stats import binomtest

metric, passed = Faithfulness(llm=llm_factory("nano", client=AsyncOpenAI())), {}
for run in ("before", "after"):
    for r in map(json.loads, open(f"{run}.jsonl")):
        result = metric.score(
            user_input=r["instruction"], response=r["response"], retrieved_contexts=[r["context"]]
        )
        passed[run, r["id"]] = result.value >= 0.5
ids = [id for run, id in passed if run == "before"]
worse = [id for id in ids if passed["before", id] and not passed["after", id]]
better = [id for id in ids if passed["after", id] and not passed["before", id]]
changed = len(worse) + len(better)
p = binomtest(len(worse), changed).pvalue if changed else 1.0  # McNemar's exact test
print("worse:", worse, "better:", better, "p =", p)
