import json
from openai import AsyncOpenAI
from ragas.llms import llm_factory
from ragas.messages import AIMessage, HumanMessage, ToolCall, ToolMessage
from ragas.metrics.collections import AgentGoalAccuracyWithoutReference


def message(m):
    if m["role"] == "user":
        return HumanMessage(content=m["content"])
    if m["role"] == "tool":
        return ToolMessage(content=m["content"])
    calls = [
        ToolCall(name=c["function"]["name"], args=json.loads(c["function"]["arguments"]))
        for c in m.get("tool_calls") or ()
    ]
    return AIMessage(content=m["content"] or "", tool_calls=calls)


metric = AgentGoalAccuracyWithoutReference(llm=llm_factory("nano", client=AsyncOpenAI()))
for r in map(json.loads, open("agents.jsonl")):
    result = metric.score(user_input=[message(m) for m in r["messages"]])
    print(r["id"], result.value)  # the goal only: ToolCallAccuracy compares with calls you expect
