"""A verdict: what a judge said of one sample. Pure data; it is also one line of the ledger."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
)


class Usage(BaseModel):
    """Tokens of one verdict, all its requests together.

    ``prompt_tokens`` counts every token of the prompts; ``cached_tokens`` those of them that
    were read from a cache instead of being computed; ``completion_tokens`` what was written.
    """

    model_config = ConfigDict(extra="forbid")

    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
        )

    def __sub__(self, other: Usage) -> Usage:
        return Usage(
            prompt_tokens=self.prompt_tokens - other.prompt_tokens,
            cached_tokens=self.cached_tokens - other.cached_tokens,
            completion_tokens=self.completion_tokens - other.completion_tokens,
        )


def hash_of(asked: Any) -> str:
    """Names all that was asked (anything that JSON can hold): 32 hex digits, the same for the same."""
    text = json.dumps(asked, ensure_ascii=False).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(text, digest_size=16).hexdigest()


class Verdict(BaseModel):
    """The choice of one label, how sure it was, and why.

    Attributes:
        id: the sample's id.
        criterion: name of the criterion.
        judge: name of the judge (preset or spec).
        label: the chosen label, or None where ``error`` says why there is none.
        score: probability-weighted mean label of an ordinal scale, else None.
        probabilities: label -> probability, sums to 1. None where the engine gives none
            (a remote server without log-probabilities).
        uncalibrated: the probabilities as the model gave them, where a calibration changed them.
        confidence: probability of ``label``, 0 to 1; None without probabilities.
        critique: the reasons; None where none were asked for.
        critique_key: hash of all that was asked for a critique that came behind the verdict; empty where it came before.
        first: the verdict before it was reconsidered behind its critique, which ``label`` is the outcome of; None where it was
            not.
        error: why there is no label. Exactly one of ``label`` and ``error`` is None.
        usage: tokens read, reused and written.
        latency_s: seconds from the request to the verdict.
        key: hash of all that was asked (model, prompts, decoding); the ledger's key.
        revision: how often the verdict was added to (a critique, another calibration); the highest of a row counts.
        consistent: pairs judged in both orders: do both orders agree? None where they cannot but agree (each response is
            judged alone), or have nothing to choose.
        notes: anything a reader must know, e.g. ``context truncated``.
        parts: verdicts this one was combined from (orders of a pair, samples, jurors).
    """

    model_config = ConfigDict(extra="forbid")

    id: str = ""
    criterion: str = ""
    judge: str = ""
    label: str | None = None
    score: float | None = None
    probabilities: dict[str, float] | None = None
    uncalibrated: dict[str, float] | None = None
    confidence: float | None = None
    critique: str | None = None
    critique_key: str = ""
    first: Verdict | None = None
    error: str | None = None
    usage: Usage = Field(default_factory=Usage)
    latency_s: float = 0.0
    key: str = ""
    revision: int = 0
    consistent: bool | None = None
    notes: list[str] = Field(default_factory=list)
    parts: list[Verdict] = Field(default_factory=list)

    @model_serializer(mode="wrap")
    def _say_something(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what only some verdicts have, and a part's names, where they are empty."""
        quiet = (
            "id", "criterion", "judge", "key", "consistent", "notes", "parts", "uncalibrated", "critique_key",
            "first", "revision",
        )  # fmt: skip
        return {k: v for k, v in serialize(self).items() if v or v is False or k not in quiet}

    def to_json(self) -> str:
        """One line of JSON. What all verdicts have is always there, ``key`` and names included."""
        line = {
            "id": self.id,
            "criterion": self.criterion,
            "judge": self.judge,
            **self.model_dump(),
        }
        line.setdefault("key", "")
        return json.dumps(line, ensure_ascii=False, allow_nan=False)
