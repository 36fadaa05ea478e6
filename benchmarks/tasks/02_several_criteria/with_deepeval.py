import csv, json
from deepeval.metrics import FaithfulnessMetric, GEval
from deepeval.test_case import LLMTestCase, SingleTurnParams

seen = [SingleTurnParams.INPUT, SingleTurnParams.ACTUAL_OUTPUT]
metrics = {
    "faithfulness": FaithfulnessMetric(),
    "tone": GEval("tone", seen, criteria="Is the tone of the reply fit for the occasion?"),
    "polite": GEval("polite", seen, criteria="Is the reply polite?"),
}
table = csv.writer(open("table.csv", "w"))
table.writerow(["id", *metrics])
for r in map(json.loads, open("rows.jsonl")):
    case = LLMTestCase(
        input=r["instruction"], actual_output=r["response"], retrieval_context=[r["context"]]
    )
    table.writerow([r["id"], *(metric.measure(case) for metric in metrics.values())])
