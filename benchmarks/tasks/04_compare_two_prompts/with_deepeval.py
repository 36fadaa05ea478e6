import json
from deepeval.metrics import FaithfulnessMetric
from deepeval.test_case import LLMTestCase
from scipy.stats import binomtest

metric, passed = FaithfulnessMetric(), {}
for run in ("before", "after"):
    for r in map(json.loads, open(f"{run}.jsonl")):
        case = LLMTestCase(
            input=r["instruction"], actual_output=r["response"], retrieval_context=[r["context"]]
        )
        metric.measure(case)
        passed[run, r["id"]] = metric.is_successful()
ids = [id for run, id in passed if run == "before"]
worse = [id for id in ids if passed["before", id] and not passed["after", id]]
better = [id for id in ids if passed["after", id] and not passed["before", id]]
changed = len(worse) + len(better)
p = binomtest(len(worse), changed).pvalue if changed else 1.0  # McNemar's exact test
print("worse:", worse, "better:", better, "p =", p)
