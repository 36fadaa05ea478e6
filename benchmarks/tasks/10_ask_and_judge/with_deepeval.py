import json
from deepeval import evaluate
from deepeval.metrics import GEval
from deepeval.test_case import LLMTestCase, SingleTurnParams
from openai import OpenAI

client = OpenAI()
seen = [SingleTurnParams.INPUT, SingleTurnParams.ACTUAL_OUTPUT]
metric = GEval("relevance", seen, criteria="Does the reply answer the question?")
for prompt in ("Answer: {}", "Answer in one sentence: {}"):
    cases = []
    for r in map(json.loads, open("rows.jsonl")):
        asked = [{"role": "user", "content": prompt.format(r["instruction"])}]
        answer = client.chat.completions.create(model="nano", messages=asked, max_tokens=60)
        text = answer.choices[0].message.content
        cases.append(LLMTestCase(input=r["instruction"], actual_output=text))
    evaluate(cases, [metric])
