# mene judges answers that are there: asking the model is a program of your own
import json
import mene
from openai import OpenAI

client, judge = OpenAI(), mene.Judge()
for prompt in ("Answer: {}", "Answer in one sentence: {}"):
    for r in map(json.loads, open("rows.jsonl")):
        asked = [{"role": "user", "content": prompt.format(r["instruction"])}]
        answer = client.chat.completions.create(model="nano", messages=asked, max_tokens=60)
        text = answer.choices[0].message.content
        verdict = judge(instruction=r["instruction"], response=text, criterion="answer-relevance")
        print(prompt, r["id"], verdict.score)
