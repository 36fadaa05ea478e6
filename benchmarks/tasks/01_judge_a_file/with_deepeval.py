import json
from deepeval import evaluate
from deepeval.metrics import FaithfulnessMetric
from deepeval.test_case import LLMTestCase

rows = [json.loads(line) for line in open("rows.jsonl")]
cases = [
    LLMTestCase(
        input=r["instruction"], actual_output=r["response"], retrieval_context=[r["context"]]
    )
    for r in rows
]
evaluate(cases, [FaithfulnessMetric()])
