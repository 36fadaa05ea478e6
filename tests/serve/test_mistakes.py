"""What a client is told of a body that is not what it should be."""

from __future__ import annotations

from typing import Any

import pytest
from test_app import run

ROW = {"sample": {"response": "Hi."}, "criterion": "Is it polite?"}
IMAGE = [{"type": "image_url", "image_url": {"url": "x"}}]
CHOICE = {"type": "choice", "instructions": "i", "choices": [{"value": 1}, {"value": "b"}]}


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("/v1/judge", {**ROW, "sample": 5}, "sample: must be an object or a text"),
        ("/v1/judge", {**ROW, "critique_token": 5}, 'critique_token: no such key; did you mean "critique_tokens"?'),
        ("/v1/judge", {**ROW, "zzz": 5}, "zzz: no such key; leave it out"),
        ("/v1/judge", {"samples": "x", "criterion": "c c"}, "samples: must be a list"),
        ("/v1/judge", {**ROW, "criterion": {"question": "Is it?", "scale": "1-"}}, "criterion.scale: cannot read scale '1-'"),
        ("/v1/judge", {**ROW, "criterion": {"scale": "1-5"}}, "criterion.question: missing; add it"),
        ("/v1/judge", {**ROW, "criterion": "faithfullness"}, 'did you mean "faithfulness"? GET /v1/criteria'),
        ("/v1/judge", {**ROW, "criterion": "nothinglikeit"}, 'no criterion "nothinglikeit"; GET /v1/criteria'),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": IMAGE}]}, "messages.0.content.0.type: Input should be 'text'"),
        ("/v1/chat/completions", {"messages": "hi"}, "messages: must be a list"),
        ("/v1/decisions", {"model": "base", "input": "x", "questions": [CHOICE]}, "questions.0.choices.0.value: must be a text or true or false"),
        ("/v1/systemone", {"model": "jev-latest", "questions": {"a": {"type": "noul"}}}, "state: missing; add it"),
    ],
)  # fmt: skip
def test_the_place_and_what_to_write(path: str, body: Any, message: str) -> None:
    async def test(app: Any) -> None:
        found = (await app.post(path, body)).json()
        if "error" in found:
            assert message in found["error"]["message"]
        else:
            [first, *_] = found["detail"]
            assert message in f"{'.'.join(map(str, first['loc'][1:]))}: {first['msg']}"

    run(test)
