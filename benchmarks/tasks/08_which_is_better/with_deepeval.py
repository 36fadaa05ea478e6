import json
from deepeval import compare
from deepeval.metrics import ArenaGEval
from deepeval.test_case import ArenaTestCase, Contestant, LLMTestCase, SingleTurnParams

cases = [
    ArenaTestCase(
        contestants=[
            Contestant(
                name=name, test_case=LLMTestCase(input=r["instruction"], actual_output=r[name])
            )
            for name in ("response_a", "response_b")
        ]
    )
    for r in map(json.loads, open("pairs.jsonl"))
]
seen = [SingleTurnParams.INPUT, SingleTurnParams.ACTUAL_OUTPUT]
compare(cases, ArenaGEval("better", seen, criteria="Choose the more helpful response."))
