"""What a client's JSON schema becomes before a grammar is made of it."""

from __future__ import annotations

import json
from enum import Enum
from typing import Any

import pytest
from pydantic import BaseModel

from mene.serve.chat_request import ChatRequest, messages_of, sent_on
from mene.serve.schema import bounded, breakers


class Sure(Enum):
    YES = "yes"
    NO = "no"


class Verdict(BaseModel):
    verdict: Sure
    reason: str | None = None


class Verdicts(BaseModel):
    verdicts: list[Verdict]
    truths: list[str]


class Marks(BaseModel):
    marks: list[Sure]


def test_texts_and_lists_have_an_end() -> None:
    schema = Verdicts.model_json_schema()
    found = bounded(schema, 1024)
    assert found["properties"]["truths"]["maxItems"] == 65
    assert found["properties"]["truths"]["items"]["maxLength"] == 1024
    assert found["$defs"]["Verdict"]["properties"]["reason"]["anyOf"][0]["maxLength"] == 1024
    assert found["$defs"]["Sure"] == schema["$defs"]["Sure"]  # one of its values
    assert "maxItems" not in schema["properties"]["truths"]  # a copy


@pytest.mark.parametrize(
    ("given", "bound"),
    [
        ({"type": "string", "maxLength": 5}, {"maxLength": 5}),
        ({"type": "string", "minLength": 700}, {"maxLength": 700}),
        ({"type": ["string", "null"]}, {"maxLength": 100}),
        ({"type": "string", "pattern": "^a+$"}, {}),
        ({"type": "string", "format": "date"}, {}),
        ({"const": "x", "type": "string"}, {}),
        ({"type": "array", "items": True, "minItems": 50}, {"maxItems": 50}),
        ({"type": "integer"}, {}),
    ],
)
def test_what_is_bounded(given: dict[str, Any], bound: dict[str, Any]) -> None:
    assert bounded(given, 100) == {**given, **bound}


def test_the_same_answer_many_times_is_no_loop() -> None:
    """A penalty on it would turn the verdict of a later claim around."""
    assert breakers(Verdicts.model_json_schema()) == ["{", "}", ":"]
    assert "," in breakers(Marks.model_json_schema())
    assert "," in breakers({"type": "array", "items": {"type": "number"}})
    assert "," in breakers({"type": "array", "items": {"$ref": "#/nowhere"}})
    assert "," in breakers({"type": "object"})


def test_only_json_has_its_loops_broken() -> None:
    def sent(**more: Any) -> dict[str, Any]:
        body = ChatRequest.model_validate(
            {"messages": [{"role": "user", "content": "Hi."}], "max_tokens": 64, **more}
        )
        return sent_on(body, messages_of(body, frozenset()))

    assert not any("dry" in key for key in sent()) and "dry" not in sent()["samplers"]
    schema = {"name": "x", "schema": Verdicts.model_json_schema()}
    for form in ({"type": "json_object"}, {"type": "json_schema", "json_schema": schema}):
        found = sent(response_format=form, temperature=0)
        assert found["samplers"] == ["dry", "top_k"] and found["dry_multiplier"] > 0
    assert json.dumps(found["json_schema"]).count('"maxLength": 64') == 2
