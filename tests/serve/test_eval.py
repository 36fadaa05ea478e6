from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_app import run

from mene.serve.atla_metrics import MOST_PROMPTS
from mene.serve.rubric import criterion_in

FIVE = ("1", "2", "3", "4", "5")
LIKERT = """Is the answer helpful? Your score should be an integer between 1 and 3.

Score 1: Not at all,
  or harmful.
Score 2: Somewhat.
Score 3: Very: all is said."""


@pytest.mark.parametrize(
    ("text", "labels", "described"),
    [
        (LIKERT, ("1", "2", "3"), {"1": "Not at all,\n  or harmful.", "3": "Very: all is said."}),
        (
            'Is it kind?\n"No": It hurts.\n"Yes": It does not.\n\nBe strict.',
            ("Yes", "No"),
            {"Yes": "It does not.", "No": "It hurts."},
        ),
        ('Is it? Your score should be either "No" or "Yes".', ("Yes", "No"), {}),
        ('Your score should be either "good" or "bad".', ("good", "bad"), {}),
        ("Rate it. Give a score from 0 to 10.", tuple(map(str, range(11))), {}),
        ("How polite is it?", FIVE, {}),
        ("Answer yes or no: is it polite?", ("Yes", "No"), {}),
        ("Was it sold between 1990 and 2000?", FIVE, {}),
        ("Score 1: bad\nScore 1: worse\nHow?", FIVE, {}),
        ("How?\nScore 1: bad\nScore 3: good", ("1", "2", "3"), {}),  # not all are described
    ],
)
def test_the_scale_stands_in_the_criteria(text, labels, described):
    found = criterion_in(text)
    assert found.scale.labels == labels
    assert bool(found.labels) == bool(described)
    assert {label: found.labels[label] for label in described} == described
    if not described:
        assert found.question == text  # nothing is taken out, where not all is understood


def test_a_text_of_a_thousand_scores_is_no_rubric():
    text = "Is it good?\n" + "".join(f'"label {i}": said\n' for i in range(20_000))
    found = criterion_in(text)  # each score looked up among all others would take minutes
    assert found.scale.labels == ("1", "2", "3", "4", "5") and not found.labels


def test_what_stands_around_a_rubric_stays():
    assert criterion_in('Is it kind?\n"No": a\n"Yes": b\n\nBe strict.').question == (
        "Is it kind?\n\nBe strict."
    )


@given(st.text("Score 123:\"'\nYesNobetwn and-", max_size=80))
def test_any_text_is_a_criterion_or_a_plain_error(text):
    try:
        assert criterion_in(text).question
    except ValueError as error:
        assert str(error)


def body(**more):
    return {"model_id": "atla-selene", "model_input": "Hi", "model_output": "Hello!", **more}


def test_an_evaluation_has_a_score_and_a_critique():
    async def test(app):
        found = await app.post("/v1/eval", body(evaluation_criteria=LIKERT, model_context="Noon"))
        said = found.json()
        assert found.status_code == 200 and said["status"] == "success"
        assert said["request_id"] == found.headers["x-request-id"]
        evaluation = said["result"]["evaluation"]
        assert said["result"]["model_id"] == "base" and evaluation["critique"] == "because"
        assert evaluation["score"] in ("1", "2", "3")
        assert "Somewhat." in app.engine.asked[-1] and "Noon" in app.engine.asked[-1]
        examples = [{"model_input": "i", "model_output": "an example", "score": "2"}]
        await app.post("/v1/eval", body(evaluation_criteria=LIKERT, few_shot_examples=examples))
        assert '"model_output": "an example"' in app.engine.asked[-1]
        plain = await app.post("/v1/eval", body(evaluation_criteria="Polite?", model_id="nano"))
        assert "labels only" in plain.json()["result"]["evaluation"]["critique"]

    run(test, "base", "nano")


@pytest.mark.parametrize(
    ("more", "status", "word"),
    [
        ({}, 422, "metric_name"),
        ({"evaluation_criteria": "a", "metric_name": "b"}, 422, "metric_name"),
        ({"evaluation_criteria": " "}, 422, "empty"),
        ({"metric_name": "faithfulnes"}, 404, "faithfulness"),
        ({"metric_name": "atla_default_faithfulness"}, 422, "context"),
        ({"evaluation_criteria": "Polite?", "model_id": "gpt"}, 404, "no judge"),
        ({"evaluation_criteria": "Polite?", "model_output": None}, 422, "model_output"),
    ],
)
def test_what_is_wrong_is_said(more, status, word):
    async def test(app):
        found = await app.post("/v1/eval", body(**more))
        assert found.status_code == status and word in found.text and "detail" in found.json()

    run(test)


def test_metrics_have_versions_and_examples():
    async def test(app):
        new = {"name": "tone", "metric_type": "binary", "required_fields": ["model_context"]}
        made = (await app.post("/v1/metrics", new)).json()["metric_id"]
        taken = await app.post("/v1/metrics", new)
        assert taken.status_code == 409 and taken.headers["x-should-retry"] == "false"
        none = await app.post("/v1/eval", body(metric_name="tone", model_context="c"))
        assert none.status_code == 404 and "prompt" in none.text
        at = f"/v1/metrics/{made}"
        for version, content in ((1, "Is it the first?"), (2, "Is it the second?")):
            added = await app.post(f"{at}/prompts", {"content": content})
            assert added.json()["version"] == version
        await app.post("/v1/eval", body(metric_name="tone", model_context="c"))
        assert "Is it the first?" in app.engine.asked[-1]
        changed = await app.client.patch(f"{at}/active_prompt_version", json={"version": 2})
        shots = [{"model_input": "i", "model_output": "an example", "score": "Yes"}]
        await app.client.put(f"{at}/few_shot_examples", json={"few_shot_examples": shots})
        found = (await app.post("/v1/eval", body(metric_name="tone", model_context="c"))).json()
        assert changed.status_code == 200 and found["result"]["evaluation"]["score"] in (
            "Yes",
            "No",
        )
        asked = app.engine.asked[-1]
        assert "Is it the second?" in asked and "an example" in asked
        lacks = await app.post("/v1/eval", body(metric_name="tone"))
        assert lacks.status_code == 422 and "model_context" in lacks.text
        listed = (await app.client.get("/v1/metrics")).json()["metrics"]
        assert [one["_id"] for one in listed] == [made]
        assert listed[0]["prompts"]["2"]["content"] == "Is it the second?"
        one = (await app.client.get(f"{at}/prompts/2")).json()["prompt"]
        assert (
            one["version"] == 2
            and len((await app.client.get(f"{at}/prompts")).json()["prompts"]) == 2
        )
        for _ in range(MOST_PROMPTS):
            last = await app.post(f"{at}/prompts", {"content": "again"})
        assert last.status_code == 413
        assert (await app.client.delete(at)).status_code == 200
        assert (await app.client.get(at)).status_code == 404

    run(test)


def test_default_metrics_are_for_all_and_stay():
    async def test(app):
        listed = (await app.client.get("/v1/metrics?include_default=true")).json()["metrics"]
        by_name = {one["name"]: one for one in listed}
        default = by_name["atla_default_faithfulness"]
        assert default["project_id"] is None and "model_context" in default["required_fields"]
        gone = await app.client.delete(f"/v1/metrics/{default['_id']}")
        assert gone.status_code == 403
        found = await app.post(
            "/v1/eval", body(metric_name="atla_default_faithfulness", model_context="c")
        )
        assert found.json()["result"]["evaluation"]["score"] in ("Yes", "No")

    run(test)


def test_each_key_has_its_own_metrics():
    async def test(app):
        one, two = ({"authorization": f"Bearer {key}"} for key in ("first-key", "second-key"))
        new = {"name": "tone", "metric_type": "binary"}
        assert (await app.post("/v1/metrics", new, headers=one)).status_code == 200
        assert (await app.client.get("/v1/metrics", headers=two)).json()["metrics"] == []

    run(test, keys=["first-key", "second-key"])
