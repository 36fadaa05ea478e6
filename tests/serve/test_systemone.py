from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_app import run

from mene.serve.door import Limits, Refused
from mene.serve.systemone import (
    Choice,
    Noul,
    NoulCriteria,
    Score,
    confidence,
    criterion_for,
    distance_confidence,
    sample_of,
)

FIELDS = ("response",)


def ask(state="Hi.", model="jev-latest", **questions):
    return {"model": model, "state": state, "questions": questions}


@pytest.mark.parametrize(
    ("state", "fields"),
    [
        ("text", {"response": "text"}),
        (["a", {"b": 1}], {"response": '["a", {"b": 1}]'}),
        (
            {"instruction": "i", "response": "r", "context": "c", "reference": "e"},
            {"instruction": "i", "response": "r", "context": "c", "reference": "e"},
        ),
        (
            {"test_case": {"actual_output": "r", "retrieval_context": ["c", "d"]}},
            {"response": "r", "context": "c\n\nd"},
        ),
        (
            {"question": "i", "ticket": {"id": 7}},
            {"instruction": "i", "response": '{"ticket": {"id": 7}}'},
        ),
        ({"response": "r", "tone": "formal"}, {"response": "r", "context": '{"tone": "formal"}'}),
        ({"response": "r", "context": "c", "n": 1}, {"response": "r", "context": 'c\n\n{"n": 1}'}),
        ({"answer": "r", "output": "s"}, {"response": "s", "context": '{"answer": "r"}'}),
        (
            {"context": "c", "instruction": "i"},
            {"response": '{"context": "c", "instruction": "i"}'},
        ),
        (
            {"retrieval_context": ["c"], "claims": ["x"]},
            {"context": "c", "response": '{"claims": ["x"]}'},
        ),
        (
            {"response_a": "x", "response_b": "y"},
            {"response": '{"response_a": "x", "response_b": "y"}'},
        ),
        ({}, {"response": "{}"}),
        ("", {"response": ""}),
        ({"label": "No", "response": "r"}, {"response": "r", "context": '{"label": "No"}'}),
    ],
)
def test_a_state_becomes_a_sample(state, fields):
    sample, filled = sample_of(state, False, Limits())
    said = {
        name: value
        for name, value in sample.model_dump().items()
        if value not in (None, "") or name == "response"
    }
    said.pop("id", None)
    assert said == fields and set(filled) == set(fields)


def test_two_responses_are_a_pair_where_that_is_asked():
    sample, fields = sample_of(
        {"instruction": "i", "response_a": "x", "response_b": "y"}, True, Limits()
    )
    assert (sample.response_a, sample.response_b, sample.instruction) == ("x", "y", "i")
    question = Choice(type="choice", criteria={"A": None, "B": None, "tie": None})
    criterion = criterion_for(question, fields, Limits())
    assert (
        criterion is not None
        and criterion.scale.kind == "pairwise"
        and len(criterion.scale.labels) == 3
    )


def test_questions_become_criteria():
    one = criterion_for(Noul(type="noul", instructions="Is it?"), FIELDS, Limits())
    assert one is not None and one.scale.labels == ("Yes", "No") and not one.labels
    side = criterion_for(
        Noul(type="noul", criteria=NoulCriteria(false="it is late")), FIELDS, Limits()
    )
    assert side is not None and side.labels == {"Yes": "anything else", "No": "it is late"}
    names = criterion_for(
        Choice(type="choice", criteria={"red": None, "blue": "the sky's"}), FIELDS, Limits()
    )
    assert names is not None and names.labels == {"red": "red", "blue": "the sky's"}
    odd = criterion_for(
        Choice(type="choice", criteria={"a": None, "A": None, "": "none", "x\ny": None}),
        FIELDS,
        Limits(),
    )
    assert odd is not None and odd.scale.labels == ("1", "2", "3", "4")
    assert odd.labels == {"1": "a", "2": "A", "3": ": none", "4": "x\ny"}
    many = criterion_for(
        Choice(type="choice", criteria={f"n{i}": None for i in range(255)}), FIELDS, Limits()
    )
    assert many is not None and many.scale.labels[-1] == "255"
    levels = criterion_for(Score(type="score", criteria=["bad", {"good": True}]), FIELDS, Limits())
    assert levels is not None and levels.labels == {"1": "bad", "2": '{"good": true}'}


shares = st.lists(st.floats(0.001, 1), min_size=1, max_size=20).map(
    lambda xs: [x / sum(xs) for x in xs]
)


@given(shares)
def test_confidence_is_a_share(values):
    assert 0 <= confidence(values) <= 1 and 0 <= distance_confidence(values) <= 1


def test_confidence_is_that_of_the_protocol():
    assert confidence([0.4, 0.3, 0.3]) == pytest.approx(0.1)
    assert confidence([1.0]) == distance_confidence([1.0]) == 1
    assert distance_confidence([0.0, 1.0, 0.0]) == 1
    assert distance_confidence([0.2] * 5) == 0
    assert distance_confidence([0.0, 0.0, 0.1, 0.8, 0.1]) == pytest.approx(1 - 0.2 / 1.2)


def test_the_answers_are_those_of_the_probabilities():
    async def test(app):
        body = ask(
            yes={"type": "noul", "instructions": "Is it?"},
            team={"type": "choice", "criteria": {"환불": None, "🙂 other": "…"}},
            level={"type": "score", "criteria": ["bad", {"deep": [1]}, "good"]},
            one={"type": "choice", "criteria": {"only": None}},
            flat={"type": "score", "criteria": ["only"]},
        )
        found = (await app.post("/v1/systemone", body)).json()
        answers = found["answers"]
        assert list(answers) == ["yes", "team", "level", "one", "flat"] and found["model"] == "base"
        assert set(answers["yes"]) == {"type", "noul"}
        chances = answers["team"]["probabilities"]
        assert set(chances) == {"환불", "🙂 other"} and answers["team"]["choice"] == max(
            chances, key=chances.get
        )
        level = answers["level"]
        assert level["legend"] == {"0": "bad", "1": {"deep": [1]}, "2": "good"}
        assert level["score"] == pytest.approx(
            sum(int(k) * p for k, p in level["probabilities"].items())
        )
        assert answers["one"] == {
            "type": "choice",
            "choice": "only",
            "confidence": 1.0,
            "probabilities": {"only": 1.0},
        }
        assert answers["flat"]["score"] == 0 and answers["flat"]["confidence"] == 1
        assert found["usage"]["input_tokens"] > 0

    run(test)


def test_each_question_is_asked_alone_behind_the_same_state():
    async def test(app):
        q = {"type": "noul", "instructions": "Is it polite?"}
        more = {
            "z": {"type": "noul", "instructions": "Is it long?"},
            "a": {"type": "score", "criteria": ["x", "y"]},
        }
        alone = (await app.post("/v1/systemone", ask("A long state.", q=q))).json()
        asked = len(app.engine.asked)
        among = (await app.post("/v1/systemone", ask("A long state.", **more, renamed=q))).json()
        assert among["answers"]["renamed"] == alone["answers"]["q"]
        prompts = app.engine.asked
        assert prompts[0] in prompts[asked:]
        assert all("renamed" not in prompt for prompt in prompts)
        start = prompts[0][: prompts[0].index("Is it polite?")]
        assert "A long state." in start and all(prompt.startswith(start) for prompt in prompts)

    run(test)


def test_a_judge_with_a_template_of_its_own_keeps_it():
    async def test(app):
        await app.post("/v1/systemone", ask(q={"type": "noul", "instructions": "Is it?"}))
        assert "You are tasked with evaluating" in app.engine.asked[0]

    run(test, "selene-mini")


def test_a_critique_beside_the_same_probabilities():
    async def test(app):
        q = {"type": "noul", "instructions": "Is it polite?"}
        plain = (await app.post("/v1/systemone", ask(q=q))).json()["answers"]["q"]
        found = await app.post("/v1/systemone", {**ask(q=q), "x_mene": {"critique": True}})
        answer = found.json()["answers"]["q"]
        assert answer == {**plain, "x_mene": {"critique": "because", "notes": []}}
        none = await app.post(
            "/v1/systemone", {**ask(q=q, model="nano"), "x_mene": {"critique": True}}
        )
        assert none.json()["answers"]["q"]["x_mene"]["critique"] is None
        assert "labels only" in none.json()["answers"]["q"]["x_mene"]["notes"][0]

    run(test, "base", "nano")


@pytest.mark.parametrize(
    "body",
    [
        {"model": "jev-latest", "questions": {"q": {"type": "noul"}}},
        ask(None, q={"type": "noul"}),
        ask(),
        ask(q={}),
        ask(q={"type": "box"}),
        ask(q={"type": "choice", "criteria": {}}),
        ask(q={"type": "choice", "criteria": {str(i): None for i in range(256)}}),
        ask(q={"type": "score", "criteria": {"0": "bad"}}),
        ask(q={"type": "score", "criteria": ["bad", None]}),
        ask(q={"type": "noul", "criteria": {"maybe": "x"}}),
        {**ask(q={"type": "noul"}), "assets": {"a": "b"}},
        {**ask(q={"type": "noul"}), "x_mene": {"critque": True}},
        {**ask(q={"type": "noul"}), "x_mene": {"template": "/etc/passwd"}},
    ],
)
def test_a_bad_body_is_422_in_the_protocols_form(body):
    async def test(app):
        found = await app.post("/v1/systemone", body)
        assert found.status_code == 422 and set(found.json()) == {"detail"}
        assert all(
            set(one) == {"loc", "msg", "type"} and one["loc"][0] == "body"
            for one in found.json()["detail"]
        )

    run(test)


def test_numbers_that_are_none_are_refused():
    async def test(app):
        for number in ("NaN", "1e999", "-Infinity"):
            for body in (
                '{"model": "default", "state": {"n": %s}, "questions": {"q": {"type": "noul"}}}',
                '{"model": "default", "state": "x", "questions": {"q": {"type": "score", "criteria": ["a", {"n": %s}]}}}',
            ):
                found = await app.client.post("/v1/systemone", content=body % number)
                assert found.status_code == 422, body

    run(test)


def test_a_prompt_that_does_not_fit_says_so():
    from mene.errors import ContextOverflow

    async def test(app):
        app.engine.ends_on["Hi."] = ContextOverflow("too long")
        found = await app.post("/v1/systemone", ask(q={"type": "noul"}))
        assert (
            found.status_code == 413
            and found.json()["detail"]["error_type"] == "max_tokens_exceeded"
        )

    run(test)


def test_images_are_refused():
    async def test(app):
        found = await app.client.post("/v1/systemone", files={"request": b"{}"})
        assert found.status_code == 422 and found.json()["detail"][0]["loc"] == ["body", "assets"]

    run(test)


def test_a_field_that_is_too_long():
    with pytest.raises(Refused) as refused:
        sample_of("x" * 11, False, Limits(field=10))
    assert refused.value.status == 413


def test_models_in_both_shapes():
    async def test(app):
        found = (await app.client.get("/v1/models")).json()
        assert found["object"] == "list" and found["data"][0] == {
            "id": "base",
            "object": "model",
            "created": 0,
            "owned_by": "mene",
        }
        names = [one["name"] for one in found["models"]]
        assert names[:2] == ["base", "nano"] and "jev-latest" in names
        assert all(
            isinstance(value, str) and value for one in found["models"] for value in one.values()
        )

    run(test, "base", "nano")


def test_a_state_is_read_once_for_all_questions(monkeypatch):
    """Of a long one, each reading stops the server for a moment."""
    read = []
    monkeypatch.setattr(
        "mene.serve.systemone.sample_of", lambda *given: read.append(given) or sample_of(*given)
    )

    async def test(app):
        question = {"type": "noul", "instructions": "Is it?"}
        many = {"model": "default", "state": {"a": "b"}, "questions": {}}
        many["questions"] = {f"q{i}": question for i in range(513)}
        found = await app.post("/v1/systemone", many)
        assert found.status_code == 413 and "513 judgements" in found.text and not read
        del many["questions"]["q512"]
        assert (await app.post("/v1/systemone", many)).status_code == 200
        assert len(read) == 1

    run(test)
