from __future__ import annotations

import httpx2
import openai
import pytest
from served import PlayedEngine
from test_app import run

from mene.serve.decisions import Item, state_of
from mene.serve.door import Refused

QUESTIONS = [
    {"type": "predicate", "name": "ok", "instructions": "Is it polite?"},
    {
        "type": "choice",
        "instructions": "Which team?",
        "choices": [{"value": "sales", "description": "who sell"}, {"value": "환불"}],
    },
    {
        "type": "score",
        "name": "s",
        "instructions": "How good?",
        "levels": [{"label": "bad"}, {"label": "good", "description": "as it should be"}],
    },
]


def test_the_official_client_gets_what_system_one_computes():
    async def test(app):
        transport = httpx2.ASGITransport(app.client._transport.app)
        async with httpx2.AsyncClient(transport=transport) as http:
            client = openai.AsyncOpenAI(
                base_url="http://localhost/v1", api_key="any", http_client=http, max_retries=0
            )
            found = await client.decisions.create(
                model="base", input="Thank you!", questions=QUESTIONS
            )
            with pytest.raises(openai.NotFoundError) as missing:
                await client.decisions.create(model="other", input="x", questions=QUESTIONS[:1])
            with pytest.raises(openai.BadRequestError) as bad:
                await client.decisions.create(
                    model="base",
                    input="x",
                    questions=[{"type": "choice", "instructions": "?", "choices": []}],
                )
        assert missing.value.code == "model_not_found"
        assert bad.value.param == "questions[0].choices"
        same = await app.post(
            "/v1/systemone",
            {
                "model": "base",
                "state": "Thank you!",
                "questions": {
                    "a": {"type": "noul", "instructions": "Is it polite?"},
                    "b": {
                        "type": "choice",
                        "instructions": "Which team?",
                        "criteria": {"sales": "who sell", "환불": None},
                    },
                    "c": {
                        "type": "score",
                        "instructions": "How good?",
                        "criteria": ["bad", "good: as it should be"],
                    },
                },
            },
        )
        one = same.json()["answers"]
        yes, team, score = found.answers
        assert (yes.name, yes.probability) == ("ok", one["a"]["noul"])
        assert (team.name, team.choice) == (None, one["b"]["choice"])
        assert team.confidence == one["b"]["confidence"]
        assert {p.value: p.probability for p in team.probabilities} == one["b"]["probabilities"]
        assert (score.score, score.confidence) == (one["c"]["score"], one["c"]["confidence"])
        assert [(p.value, p.label) for p in score.probabilities] == [(0, "bad"), (1, "good")]
        assert found.usage.total_tokens == found.usage.input_tokens + found.usage.output_tokens

    run(test)


def test_true_and_the_word_are_two_choices():
    async def test(app):
        values = [True, "true", False]
        question = {
            "type": "choice",
            "instructions": "Which?",
            "choices": [{"value": v} for v in values],
        }
        body = {"model": "base", "input": "x", "questions": [question]}
        [found] = (await app.post("/v1/decisions", body)).json()["answers"]
        assert [type(p["value"]) for p in found["probabilities"]] == [bool, str, bool]
        question["choices"].append({"value": True})
        twice = await app.post("/v1/decisions", body)
        assert twice.status_code == 400
        assert twice.json()["error"]["param"] == "questions[0].choices[3].value"

    run(test)


def test_one_question_that_fails_is_refused_alone(monkeypatch):
    def fails(engine, request):
        if "How good?" in "\n".join(message.content for message in request.messages):
            engine.fails_on = "How good?"
        return answer(engine, request)

    answer = PlayedEngine.answer
    monkeypatch.setattr(PlayedEngine, "answer", fails)

    async def test(app):
        body = {"model": "base", "input": "x", "questions": QUESTIONS}
        found = (await app.post("/v1/decisions", body)).json()["answers"]
        assert [one["type"] for one in found] == ["predicate", "choice", "refusal"]
        assert "it failed" in found[2]["x_mene"]["error"] and found[2]["name"] == "s"
        alone = await app.post("/v1/decisions", {**body, "questions": QUESTIONS[2:]})
        assert alone.status_code == 400 and "it failed" in alone.json()["error"]["message"]

    run(test)


@pytest.mark.parametrize(
    ("given", "state"),
    [
        ("text", "text"),
        ([{"role": "user", "content": "text"}], "text"),
        (
            [{"role": "user", "content": [{"type": "input_text", "text": "a"}] * 2}],
            "a\n\na",
        ),
        (
            [{"role": "user", "content": [{"type": "input_json", "data": {"response": "r"}}]}],
            {"response": "r"},
        ),
        (
            [
                {"role": "user", "content": "hi"},
                {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "1", "output": "3"},
                {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
            ],
            [
                {"role": "user", "content": "hi"},
                {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "1", "output": "3"},
                {"role": "assistant", "content": "no"},
            ],
        ),
    ],
)
def test_an_input_becomes_a_state(given, state):
    items = given if isinstance(given, str) else [Item.model_validate(one) for one in given]
    assert state_of(items) == state


@pytest.mark.parametrize(
    "item",
    [
        {"role": "user", "content": [{"type": "input_image", "image_url": "data:"}]},
        {"type": "function_call_output", "call_id": "1", "output": [{"type": "input_image"}]},
        {"role": "user"},
        {"role": "user", "content": [{"type": "input_text"}]},
    ],
)
def test_what_cannot_be_shown_is_refused(item):
    with pytest.raises(Refused):
        state_of([Item.model_validate(item)])
