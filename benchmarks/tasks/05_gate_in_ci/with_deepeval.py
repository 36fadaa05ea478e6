import json, sys
from deepeval.metrics import FaithfulnessMetric
from deepeval.test_case import LLMTestCase
from scipy.stats import binomtest

metric, passed = FaithfulnessMetric(), []
for r in map(json.loads, open("rows.jsonl")):
    case = LLMTestCase(
        input=r["instruction"], actual_output=r["response"], retrieval_context=[r["context"]]
    )
    metric.measure(case)
    passed.append(metric.is_successful())
interval = binomtest(sum(passed), len(passed)).proportion_ci()
print(sum(passed), "of", len(passed), interval)
sys.exit(0 if interval.low >= 0.5 else 3 if interval.high < 0.5 else 4)
