import json
from openai import AsyncOpenAI, OpenAI
from ragas.llms import llm_factory
from ragas.metrics import DiscreteMetric

client, llm = OpenAI(), llm_factory("nano", client=AsyncOpenAI())
metric = DiscreteMetric(
    name="relevance",
    prompt="Does the reply answer the question? Question: {question}\nReply: {reply}",
    allowed_values=["yes", "no"],
)
for prompt in ("Answer: {}", "Answer in one sentence: {}"):
    for r in map(json.loads, open("rows.jsonl")):
        asked = [{"role": "user", "content": prompt.format(r["instruction"])}]
        answer = client.chat.completions.create(model="nano", messages=asked, max_tokens=60)
        text = answer.choices[0].message.content
        print(prompt, r["id"], metric.score(llm=llm, question=r["instruction"], reply=text).value)
