"""A chat request translated for llama.cpp: messages, samplers, and a grammar where JSON is requested."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from mene.message import Message
from mene.serve.door import wrong
from mene.serve.plain import plain_text
from mene.serve.schema import breakers, described, held_to

ROOM = 1024  # default tokens; a small model may never stop by itself
CHOICES = 16  # maximum per request
# A small model may repeat one sentence in its JSON until its tokens are used up. llama.cpp's sampler "dry" (its issue 5561)
# makes each token of a longer literal repetition less probable. ``schema.breakers`` lists what
# may be repeated.
NO_LOOPS = {
    "dry_multiplier": 0.8,
    "dry_base": 1.75,
    "dry_allowed_length": 24,
    "dry_penalty_last_n": 512,
}


class Part(BaseModel):
    type: Literal["text"]
    text: str


class ChatMessage(BaseModel):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[Part] | None = None


class JsonSchema(BaseModel):
    name: str = ""
    schema_: dict[str, Any] = Field(alias="schema")
    strict: bool | None = None


class ResponseFormat(BaseModel):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class StreamOptions(BaseModel):
    include_usage: bool | None = None


class ChatRequest(BaseModel):
    """A chat and how to go on with it, as OpenAI has it. What is not named here is ignored."""

    model_config = ConfigDict(extra="allow")  # a server behind this one may support it

    model: str | None = None
    messages: list[ChatMessage] = Field(min_length=1)
    temperature: float | None = Field(None, ge=0, le=2, allow_inf_nan=False)
    top_p: float | None = Field(None, gt=0, le=1)
    max_tokens: int | None = Field(None, ge=1, lt=2**31)
    max_completion_tokens: int | None = Field(None, ge=1, lt=2**31)
    n: int | None = Field(None, ge=1, le=CHOICES)
    seed: int | None = Field(None, ge=-(2**63), lt=2**63)
    stop: str | list[str] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = Field(None, ge=0, le=20)
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    response_format: ResponseFormat | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    logit_bias: dict[str, float] | None = None
    tools: list[Any] | None = None
    functions: list[Any] | None = None


def messages_of(body: ChatRequest, tokens: frozenset[str]) -> list[Message]:
    """Return the messages, with the model's control tokens broken up.

    Raises:
        Refused: a message has no text.
    """
    found = []
    for number, message in enumerate(body.messages):
        content = message.content
        if content is None:
            raise wrong("a message needs a text", "messages", number, "content")
        if not isinstance(content, str):
            content = "\n".join(part.text for part in content)
        role = {"developer": "system", "tool": "user"}.get(message.role, message.role)
        found.append(Message(role, plain_text(content, tokens)))
    return found


def sent_on(body: ChatRequest, messages: list[Message]) -> dict[str, Any]:
    """Return the request to llama.cpp.

    Raises:
        Refused: something in the body is not supported.
    """
    if body.logit_bias:
        raise wrong("logit_bias cannot be done here; leave it out", "logit_bias")
    hot = 1.0 if body.temperature is None else body.temperature
    penalties = {
        "presence_penalty": body.presence_penalty or 0.0,
        "frequency_penalty": body.frequency_penalty or 0.0,
    }
    samplers = ["penalties"] if any(penalties.values()) else []
    sent: dict[str, Any] = {"cache_prompt": True, "n_predict": ROOM, **penalties}
    if hot > 0:
        sent |= {"temperature": hot, "top_p": 1.0 if body.top_p is None else body.top_p}
        sent["samplers"] = [*samplers, "top_p", "temperature"]
    else:
        sent |= {"temperature": 1.0, "top_k": 1, "samplers": [*samplers, "top_k"]}
    if room := body.max_completion_tokens or body.max_tokens:
        sent["n_predict"] = room
    if body.stop:
        stop = [body.stop] if isinstance(body.stop, str) else body.stop
        sent["stop"] = [text for text in stop if text]
    if body.logprobs:
        sent["n_probs"] = max(body.top_logprobs or 0, 1)
    elif body.top_logprobs:
        raise wrong("top_logprobs needs logprobs: true", "top_logprobs")
    wanted = body.response_format
    if wanted is not None and wanted.type == "json_schema":
        if wanted.json_schema is None:
            raise wrong("the schema is missing", "response_format", "json_schema", kind="missing")
        schema = wanted.json_schema.schema_
        sent |= _json(held_to(schema, "response_format", "json_schema", "schema"), sent)
    elif wanted is not None and wanted.type == "json_object":
        sent |= _json(described([m._asdict() for m in messages]), sent)
    return sent


def _json(schema: dict[str, Any], sent: dict[str, Any]) -> dict[str, Any]:
    """Return the additional parameters for a JSON answer."""
    return {
        "json_schema": schema,
        "samplers": ["dry", *sent["samplers"]],
        **NO_LOOPS,
        "dry_sequence_breakers": breakers(schema),
    }
