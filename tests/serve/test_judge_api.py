from __future__ import annotations

import asyncio
import json

import pytest
from test_app import ROW, run

from mene.sample import as_sample


def events(text):
    """Server-sent events as (kind, data)."""
    found = []
    for part in text.strip().split("\n\n"):
        kind, data = part.split("\n")
        found.append((kind.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


def test_samples_by_criteria_in_their_order():
    async def test(app):
        body = {
            "samples": [
                {"response": "a", "context": "b", "id": "one"},
                "just a text",
                {"actual_output": "c", "retrieval_context": ["d"]},
            ],
            "criteria": [
                "faithfulness",
                "Is it polite?",
                {"question": "How good?", "scale": "1-5"},
            ],
        }
        found = (await app.post("/v1/judge", body)).json()["verdicts"]
        assert [(one["row"], one["id"]) for one in found[::3]] == [(1, "one"), (2, "2"), (3, "3")]
        assert [(one["criterion"], one.get("question")) for one in found[:3]] == [
            ("faithfulness", None),
            ("is-it-polite", "Is it polite?"),
            ("how-good", "How good?"),
        ]
        assert found[2]["score"] is not None and set(found[2]["probabilities"]) == set("12345")
        # A text alone has no context, which faithfulness needs: an error of that row.
        assert '"context" is missing' in found[3]["error"] and found[4]["label"]

    run(test)


def test_settings_are_those_of_the_judge():
    async def test(app):
        plain = (await app.post("/v1/judge", ROW)).json()["verdicts"][0]
        assert plain["critique"] is None
        critique = (await app.post("/v1/judge", {**ROW, "mode": "critique"})).json()["verdicts"][0]
        assert critique["critique"] == "because"
        drawn = {**ROW, "mode": "critique", "draws": 3, "temperature": 0.5, "seed": 7}
        assert len((await app.post("/v1/judge", drawn)).json()["verdicts"][0]["parts"]) == 3
        why = (await app.post("/v1/judge", {**ROW, "explain": True})).json()["verdicts"][0]
        assert why["critique"] == "because" and why["probabilities"] == plain["probabilities"]
        pair = {
            "sample": {"instruction": "i", "response_a": "x", "response_b": "y"},
            "criterion": "preference",
        }
        for compare in ("together", "both-orders", "pointwise"):
            found = (await app.post("/v1/judge", {**pair, "compare": compare})).json()["verdicts"][
                0
            ]
            assert found["compare"] == compare and found["label"]
        lines = (await app.post("/v1/judge", {**ROW, "template": "lines"})).json()["verdicts"][0]
        assert lines["key"] != plain["key"]

    run(test)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"criterion": "faithfulnes"}, "criterion"),
        ({"criterion": None}, "criterion"),
        ({"criterion": {"question": "x"}}, "criterion"),
        ({"criterion": {"question": "x", "scale": "1-5", "labels": {"9": "no"}}}, "criterion"),
        ({"criteria": ["Is it good?"]}, "criterion"),
        ({"sample": None}, "sample"),
        ({"sample": None, "samples": []}, "samples"),
        ({"mode": "guess"}, "mode"),
        ({"draws": 1000}, "draws"),
        ({"critique_tokens": 10**6}, "critique_tokens"),
        ({"critque": True}, "critque"),
        ({"scale": "5-1"}, "criterion"),
        ({"template": "prefixx"}, "template"),
    ],
)
def test_a_mistake_names_its_field(change, where):
    async def test(app):
        found = await app.post("/v1/judge", {**ROW, **change})
        assert found.status_code == 422
        assert found.json()["detail"][0]["loc"][:2] == ["body", where]
        assert found.json()["error"]["param"].startswith(where)

    run(test)


def test_settings_that_make_no_sense_are_the_rows_error():
    async def test(app):
        found = (await app.post("/v1/judge", {**ROW, "mode": "verdict", "draws": 3})).json()
        assert "verdict mode always gives the same" in found["verdicts"][0]["error"]

    run(test)


def test_no_name_in_a_request_opens_a_file(tmp_path, monkeypatch):
    secret = tmp_path / "secret.yaml"
    secret.write_text("question: SECRET\nscale: yes/no\n")
    template = tmp_path / "secret.jinja"
    template.write_text("SECRET {{ response }}")
    monkeypatch.chdir(tmp_path)

    async def test(app):
        for path in (str(secret), "secret.yaml", "./secret.yaml", "../x/secret.yaml"):
            found = await app.post("/v1/judge", {**ROW, "criterion": path})
            assert found.status_code == 422 and "SECRET" not in found.text
        spaced = await app.post("/v1/prompt", {**ROW, "criterion": "see secret.yaml"})
        assert "SECRET" not in spaced.text  # it is a question in words
        for path in (str(template), "secret.jinja"):
            found = await app.post("/v1/judge", {**ROW, "template": path})
            assert found.status_code == 422
        for judge in (
            str(secret),
            "llamacpp:/etc/passwd",
            "hf:a/b",
            "openai:x@http://evil.example",
        ):
            assert (await app.post("/v1/judge", {**ROW, "judge": judge})).status_code == 404
        assert list(app.serving.judges.desks) == ["base"]

    run(test)


def test_events_come_as_they_are_done():
    async def test(app):
        body = {
            "samples": ["a", {"instruction": "no response"}, "b"],
            "criterion": "Is it polite?",
            "mode": "critique",
            "stream": True,
        }
        found = await app.post("/v1/judge", body)
        assert found.headers["content-type"].startswith("text/event-stream")
        said = events(found.text)
        verdicts = [data for kind, data in said if kind == "verdict"]
        assert sorted(one["row"] for one in verdicts) == [1, 2, 3]
        assert [one["row"] for one in verdicts if one["error"]] == [2]
        assert said[-1] == ("done", {"verdicts": 3})
        accepted = await app.post("/v1/judge", ROW, headers={"accept": "text/event-stream"})
        assert [kind for kind, _ in events(accepted.text)] == ["verdict", "done"]

    run(test)


def test_a_critique_is_heard_while_it_is_written():
    async def test(app):
        said = events(
            (await app.post("/v1/judge", {**ROW, "mode": "critique", "stream": True})).text
        )
        assert [kind for kind, _ in said] == ["critique", "critique", "verdict", "done"]
        assert "".join(data["text"] for kind, data in said if kind == "critique") == "because"
        assert said[0][1]["row"] == 1

    run(test)


def test_a_stream_that_takes_too_long_ends_with_an_error():
    async def test(app):
        app.engine.open.clear()
        said = events((await app.post("/v1/judge", {**ROW, "stream": True})).text)
        assert said[-1][0] == "error" and "no answer within" in said[-1][1]["message"]
        await asyncio.sleep(0)
        assert not (await app.serving.judges.desk()).busy
        app.engine.open.set()

    from mene.serve.door import Limits

    run(test, limits=Limits(seconds=0.1))


def test_the_prompt_is_what_the_model_reads():
    async def test(app):
        found = (await app.post("/v1/prompt", ROW)).json()["prompts"]
        await app.post("/v1/judge", ROW)
        assert app.engine.asked[0].endswith(found[0]["prompt"]) and found[0]["tokens"] > 10

    run(test)


def test_a_small_body_gets_no_huge_answer():
    """What each verdict repeats is short: a sample's id, a criterion's question and labels."""

    async def test(app):
        many = ["Is it kind?", "Is it polite?"]
        long = {"sample": {"response": "a", "id": "x" * 3000}, "criteria": many}
        found = (await app.post("/v1/judge", long)).json()["verdicts"]
        assert [len(one["id"]) for one in found] == [1000, 1000]
        assert all("the id has more than 1,000 characters" in one["error"] for one in found)
        for criterion in ("Is it? " * 9000, {"question": "Is it?", "scale": ["a" * 60_000, "b"]}):
            refused = await app.post("/v1/judge", {"sample": "a", "criterion": criterion})
            assert refused.status_code == 422 and "50,000 characters" in refused.text
            assert len(refused.content) < 1000
        names = {"sample": {"response": "a", "k" * 60_000: 1}, "criterion": "Is it kind?"}
        [one] = (await app.post("/v1/judge", names)).json()["verdicts"]
        assert "names of its fields" in one["error"]
        scale = "/".join(f"x{i}" for i in range(256))
        asked = {"sample": "a", "criterion": "Which is it?", "scale": scale}
        [one] = (await app.post("/v1/judge", asked)).json()["verdicts"]
        assert "255 labels" in one["error"]
        asked["scale"] = scale.rpartition("/")[0]
        [one] = (await app.post("/v1/judge", asked)).json()["verdicts"]
        assert one["label"] == max(one["probabilities"], key=one["probabilities"].get)

    run(test)


def test_prompts_of_one_request_have_an_end(monkeypatch):
    monkeypatch.setattr("mene.serve.judge_api.MOST_SHOWN", 100)

    async def test(app):
        one = {"sample": "a" * 90, "criterion": "Is it kind?"}
        assert (await app.post("/v1/prompt", one)).status_code == 200
        two = {"sample": "a" * 90, "criteria": ["Is it kind?", "Is it polite?"]}
        found = await app.post("/v1/prompt", two)
        assert found.status_code == 413 and "100 characters" in found.json()["error"]["message"]

    run(test)


def test_a_row_is_read_once_for_criteria_that_look_at_the_same(monkeypatch):
    read = []
    monkeypatch.setattr(
        "mene.serve.judge_api.as_sample", lambda *a, **more: read.append(a) or as_sample(*a, **more)
    )

    async def test(app):
        asked = {"sample": {"response": "a"}, "criteria": ["Is it kind?"] * 256 + ["tone"] * 256}
        found = (await app.post("/v1/judge", asked)).json()["verdicts"]
        assert len(found) == 512 and len(read) == 2
        asked["criteria"].append("no such criterion")  # not looked at
        found = await app.post("/v1/judge", asked)
        assert found.status_code == 413 and "513 judgements" in found.text

    run(test)
