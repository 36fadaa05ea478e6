"""Chat completions by the official client, over the smallest model there can be: what it writes is noise, the form is not."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field
from tiny import mini_gguf

from mene.judge.preset import load_preset
from mene.serve.app import build_app
from mene.serve.judges import Judges
from mene.serve.metrics import Meter
from mene.serve.serving import Serving

openai = pytest.importorskip("openai")
uvicorn = pytest.importorskip("uvicorn")
from tests.serve.threaded import threaded  # noqa: E402

ASK: Any = [{"role": "user", "content": "Is it true?"}]
# What such a model writes is no text; held to this, it is.
LETTERS: Any = {
    "type": "json_schema",
    "json_schema": {"name": "x", "schema": {"type": "string", "pattern": "^[a-zäé😀]{60}$"}},
}


class Claim(BaseModel):
    claim: Literal["yes", "no"]
    sure: bool


class Found(BaseModel):
    claims: list[Claim] = Field(max_length=3)
    reason: Literal["good", "bad"] | None


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    path = mini_gguf(tmp_path_factory.mktemp("mini") / "mini.gguf")
    preset = load_preset(f"llamacpp:{path}")
    meter = Meter()
    serving = Serving(judges=Judges([preset], meter=meter), meter=meter)
    config = uvicorn.Config(build_app(serving), log_level="warning", lifespan="on")
    with threaded(config) as port:
        yield openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="any", max_retries=0)


def test_same_seed_same_text_and_stop_and_length(client: Any) -> None:
    how: Any = {"model": "default", "messages": ASK, "max_tokens": 24, "temperature": 1.5}
    how["response_format"] = LETTERS
    one, same, other = (client.chat.completions.create(**how, seed=seed) for seed in (1, 1, 2))
    text = one.choices[0].message.content
    assert text == same.choices[0].message.content != other.choices[0].message.content
    assert one.choices[0].finish_reason == "length"
    assert one.usage.prompt_tokens > 5
    assert one.usage.completion_tokens >= 24
    stop = text[4:6]
    cut = client.chat.completions.create(**how, seed=1, stop=[stop])
    assert cut.choices[0].message.content == text.partition(stop)[0]
    assert cut.choices[0].finish_reason == "stop"
    # Begun at the end, and held back there.
    whole = client.chat.completions.create(**how, seed=1, stop=text[-2:] + "@@@")
    assert whole.choices[0].message.content == text


def test_a_stream_says_the_same(client: Any) -> None:
    how: Any = {"model": "default", "messages": ASK, "max_tokens": 20, "seed": 5, "n": 2}
    how |= {"logprobs": True, "top_logprobs": 3, "response_format": LETTERS}
    whole = client.chat.completions.create(**how)
    said: dict[int, str] = {0: "", 1: ""}
    tokens: dict[int, list[Any]] = {0: [], 1: []}
    ends, used = {}, None
    for chunk in client.chat.completions.create(
        **how, stream=True, stream_options={"include_usage": True}
    ):
        used = chunk.usage or used
        for choice in chunk.choices:
            said[choice.index] += choice.delta.content or ""
            tokens[choice.index] += (choice.logprobs and choice.logprobs.content) or []
            ends[choice.index] = choice.finish_reason or ends.get(choice.index)
    assert len(whole.choices) == 2
    assert said[0] != said[1]
    for choice in whole.choices:
        assert said[choice.index] == choice.message.content
        assert ends[choice.index] == choice.finish_reason
        logs = choice.logprobs.content
        assert [t.token for t in logs] == [t.token for t in tokens[choice.index]]
        assert b"".join(bytes(t.bytes) for t in logs).decode() == choice.message.content
        assert all(len(t.top_logprobs) == 3 and t.logprob <= 0 for t in logs)
    assert used.completion_tokens == whole.usage.completion_tokens


@pytest.mark.parametrize("seed", range(3))
def test_json_keeps_to_its_schema(client: Any, seed: int) -> None:
    how: Any = {"model": "default", "messages": ASK, "max_tokens": 400, "seed": seed}
    done = client.chat.completions.parse(**how, response_format=Found)
    assert isinstance(done.choices[0].message.parsed, Found)
    # As Ragas asks: an object, and its schema in words.
    schema = json.dumps(Claim.model_json_schema())
    system = {
        "role": "system",
        "content": f"Answer in json that match the following json_schema:\n\n{schema}\n",
    }
    how |= {"messages": [system, *ASK], "response_format": {"type": "json_object"}}
    Claim.model_validate_json(client.chat.completions.create(**how).choices[0].message.content)


@pytest.mark.parametrize(
    ("how", "param"),
    [
        ({"temperature": 3}, "temperature"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
        ({"messages": []}, "messages"),
        ({"top_logprobs": 3}, "top_logprobs"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {
                "type": "array", "items": {"type": "object", "patternProperties": {}}}}}},
            "response_format.json_schema.schema.items.patternProperties",
        ),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {
                "$ref": "https://example.org/x.json"}}}},
            "response_format.json_schema.schema.$ref",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_said(client: Any, how: dict[str, Any], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(**{"model": "default", "messages": ASK, **how})
    assert caught.value.param == param


def test_other_errors_have_their_status(client: Any) -> None:
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="nobody", messages=ASK)
    long: Any = [{"role": "user", "content": "no " * 2000}]
    with pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(model="default", messages=long)
    assert (caught.value.status_code, caught.value.code) == (413, "context_length_exceeded")


def test_a_client_that_goes_away_frees_the_place(client: Any) -> None:
    stream = client.chat.completions.create(model="default", messages=ASK, stream=True)
    next(iter(stream))
    stream.close()
    begun = time.monotonic()
    client.chat.completions.create(model="default", messages=ASK, max_tokens=1)
    assert time.monotonic() - begun < 10
