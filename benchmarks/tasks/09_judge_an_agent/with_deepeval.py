import json
from deepeval import evaluate
from deepeval.metrics import GEval
from deepeval.test_case import LLMTestCase, SingleTurnParams, ToolCall

cases = []
for r in map(json.loads, open("agents.jsonl")):
    said, results = r["messages"], {}
    for m in said:
        results |= {m["tool_call_id"]: m["content"]} if m["role"] == "tool" else {}
    calls = [
        ToolCall(
            name=c["function"]["name"],
            input_parameters=json.loads(c["function"]["arguments"]),
            output=results.get(c["id"]),
        )
        for m in said
        for c in m.get("tool_calls") or ()
    ]
    case = LLMTestCase(
        input=said[0]["content"], actual_output=said[-1]["content"] or "", tools_called=calls
    )
    cases.append(case)
seen = [SingleTurnParams.INPUT, SingleTurnParams.ACTUAL_OUTPUT, SingleTurnParams.TOOLS_CALLED]
calls = GEval("tool calls", seen, criteria="Are the tool calls right for the task?")
goal = GEval("goal", seen, criteria="Was everything done that the user asked for?")
evaluate(cases, [calls, goal])
