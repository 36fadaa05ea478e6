"""What a client's JSON schema becomes before a grammar is made of it."""

from __future__ import annotations

from enum import Enum
from typing import Any

from pydantic import BaseModel

from mene.serve.chat_request import ChatRequest, messages_of, sent_on
from mene.serve.schema import breakers


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
