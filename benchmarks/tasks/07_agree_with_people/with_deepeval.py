import json
from deepeval.metrics import FaithfulnessMetric
from deepeval.test_case import LLMTestCase
from scipy.stats import binomtest
from sklearn.metrics import balanced_accuracy_score, cohen_kappa_score

metric, golds, labels = FaithfulnessMetric(), [], []
for r in map(json.loads, open("labelled.jsonl")):
    case = LLMTestCase(
        input=r["instruction"], actual_output=r["response"], retrieval_context=[r["context"]]
    )
    metric.measure(case)
    golds.append(r["label"])
    labels.append("Yes" if metric.is_successful() else "No")
right = sum(gold == label for gold, label in zip(golds, labels))
print(balanced_accuracy_score(golds, labels), cohen_kappa_score(golds, labels))
print(right, "of", len(golds), binomtest(right, len(golds)).proportion_ci())
