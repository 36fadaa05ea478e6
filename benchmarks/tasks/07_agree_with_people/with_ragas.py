import json
from openai import AsyncOpenAI
from ragas.llms import llm_factory
from ragas.metrics.collections import Faithfulness
from scipy.stats import binomtest
from sklearn.metrics import balanced_accuracy_score, cohen_kappa_score

metric, golds, labels = Faithfulness(llm=llm_factory("nano", client=AsyncOpenAI())), [], []
for r in map(json.loads, open("labelled.jsonl")):
    result = metric.score(
        user_input=r["instruction"], response=r["response"], retrieved_contexts=[r["context"]]
    )
    golds.append(r["label"])
    labels.append("Yes" if result.value >= 0.5 else "No")
right = sum(gold == label for gold, label in zip(golds, labels))
print(balanced_accuracy_score(golds, labels), cohen_kappa_score(golds, labels))
print(right, "of", len(golds), binomtest(right, len(golds)).proportion_ci())
