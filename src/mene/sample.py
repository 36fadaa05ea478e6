"""A sample: what is judged. Pure data, and the one place that knows other tools' field names."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from mene.errors import SampleError, nearest
from mene.verdict import hash_of

FIELDS = ("instruction", "response", "response_a", "response_b", "context", "reference")

# Field -> names it has in other tools; the first one present in a row wins. `mene` itself first,
# then Ragas, DeepEval, Atla, Prometheus, OpenAI evals, and common spellings. Three exceptions:
# Prometheus rows also hold a whole judge prompt as `instruction`, OpenAI's batch rows also
# hold the server's own `id`, and DeepEval's `context` is the ideal one beside what was retrieved.
ALIASES: dict[str, tuple[str, ...]] = {
    "instruction": (
        "orig_instruction", "instruction", "user_input", "model_input",
        "input", "prompt", "question", "query",
    ),
    "response": (
        "response", "actual_output", "model_output", "orig_response",
        "output", "completion", "answer", "prediction", "generated",
    ),
    "response_a": (
        "response_a", "response_A", "orig_response_A", "output_a", "answer_a", "response_1", "output_1",
    ),
    "response_b": (
        "response_b", "response_B", "orig_response_B", "output_b", "answer_b", "response_2", "output_2",
    ),
    "context": (
        "retrieval_context", "context", "retrieved_contexts", "model_context",
        "contexts", "documents", "passages",
    ),
    "reference": (
        "reference", "expected_output", "expected_model_output", "orig_reference_answer",
        "reference_answer", "ground_truth", "ideal",
    ),
    "label": ("label", "human_label", "gold", "orig_score", "orig_preference", "human_score"),
    "id": ("custom_id", "id", "sample_id", "uuid"),
}  # fmt: skip


class Sample(BaseModel):
    """One thing to judge.

    Attributes:
        instruction: what the judged model was asked.
        response: what is judged; or ``response_a`` and ``response_b`` for a pair.
        context: documents the response must agree with.
        reference: a good answer to compare with.
        label: a person's label, in the words of the criterion's scale; never shown to a judge.
        id: name of the sample in the results.
    """

    model_config = ConfigDict(extra="forbid")

    instruction: str | None = None
    response: str | None = None
    response_a: str | None = None
    response_b: str | None = None
    context: str | None = None
    reference: str | None = None
    label: str | float | int | bool | None = None
    id: str = Field(default="", coerce_numbers_to_str=True)

    @property
    def content(self) -> str:
        """Names all that a judge may be shown, 16 hex digits; with its place in a table it is what a row is known by."""
        return hash_of([getattr(self, field) for field in FIELDS])[:16]

    def swapped(self) -> Sample:
        """The same pair with its seats exchanged."""
        return self.model_copy(
            update={"response_a": self.response_b, "response_b": self.response_a}
        )

    def apart(self) -> tuple[Sample, Sample]:
        """The two responses of a pair, each as a sample of its own."""
        a, b = (
            self.model_copy(update={"response": text, "response_a": None, "response_b": None})
            for text in (self.response_a, self.response_b)
        )
        return a, b

    @classmethod
    def from_row(cls, row: Mapping[str, Any], names: Mapping[str, str] | None = None) -> Sample:
        """Read one row of a user's table, under the names of any of the known tools.

        Args:
            row: column -> value. Text, numbers, lists of text (joined), or chat messages.
            names: mene's field -> the row's column, for anything else (``--map``).

        Raises:
            SampleError: a mapped column is missing, or a field holds no text (names the field).
        """
        names = names or {}
        found: dict[str, Any] = {}
        for field, aliases in ALIASES.items():
            if field in names:
                if names[field] not in row:
                    raise SampleError(
                        f'no column "{names[field]}" (mapped to {field}); '
                        f"the row has: {', '.join(map(str, row))}" + nearest(names[field], row)
                    )
                found[field] = row[names[field]]
                continue
            for alias in aliases:
                if row.get(alias) is not None:
                    found[field] = row[alias]
                    break
        answered = not found.keys().isdisjoint(("response", "response_a", "response_b"))
        nested = "response" not in names and _is_nested(found.get("response"))
        if not answered or nested or "instruction" not in found:
            chat = _from_chat(row)
            if nested and "response" in chat:
                del found["response"]
            elif answered:
                chat.pop("response", None)
            found = chat | found
        label = found.pop("label", None)
        if isinstance(label, str):
            label = as_text(label, "label")
        elif not isinstance(label, int) and not (isinstance(label, float) and math.isfinite(label)):
            label = None
        name = found.pop("id", "")
        try:
            return cls(
                **{field: as_text(value, field) for field, value in found.items()},
                label=label,
                id=as_text("" if name is None else str(name), "id") or "",
            )
        except RecursionError:
            raise SampleError("the row is nested too deeply to be read") from None


def as_text(value: Any, field: str) -> str | None:
    """Turn a field's value into text: lists are joined, chat messages become a transcript.

    Raises:
        SampleError: the value is neither (NaN, a nested object, broken Unicode).
    """
    if value is None:
        return None
    if isinstance(value, bool) or (isinstance(value, float) and not math.isfinite(value)):
        raise SampleError(f'field "{field}" is {value}, not text')
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, str):
        try:
            value.encode("utf-8")
        except UnicodeEncodeError as error:
            raise SampleError(
                f'field "{field}" has a lone surrogate (half a character) at position {error.start}; '
                "it was probably cut in the middle of an emoji: re-export the row"
            ) from None
        return value
    if isinstance(value, Mapping):
        if "content" in value:
            return as_text(value["content"], field)
        if "text" in value:
            return as_text(value["text"], field)
        raise SampleError(
            f'field "{field}" is an object with no text; use --map to choose a column'
        )
    if isinstance(value, Sequence):
        if value and all(
            isinstance(v, Mapping) and ("role" in v or "type" in v) and "content" in v
            for v in value
        ):
            return _transcript(value, field)
        parts = [as_text(v, field) for v in value]
        return "\n\n".join(p for p in parts if p)
    raise SampleError(f'field "{field}" is of type {type(value).__name__}, not text')


def _transcript(messages: Sequence[Mapping[str, Any]], field: str) -> str:
    """One message is its own text; a longer talk is written with the speakers' names."""
    turns = [(_role(m), as_text(m.get("content"), field) or "") for m in messages]
    if len(turns) == 1 and turns[0][0] in ("user", "assistant"):
        return turns[0][1]
    return "\n\n".join(f"{role.capitalize()}: {text}" for role, text in turns)


def _role(message: Mapping[str, Any]) -> str:
    role = str(message.get("role") or message.get("type") or "user")
    return {"human": "user", "ai": "assistant"}.get(role, role)


def _is_nested(value: Any) -> bool:
    """Is it an object that has no text of its own, such as ``response`` in a batch output?"""
    return isinstance(value, Mapping) and value.keys().isdisjoint(("content", "text"))


def _from_chat(row: Mapping[str, Any]) -> dict[str, Any]:
    """OpenAI's chat rows: the last assistant turn is the response, what comes before it the instruction.

    Also reads a chat completion (``choices``) and lines of a batch output (``response.body``).
    """
    found: dict[str, Any] = {}
    messages = row.get("messages") or _get(row, "body", "messages")
    messages = list(messages) if isinstance(messages, list) else []
    choices = row.get("choices") or _get(row, "response", "body", "choices")
    if isinstance(choices, list) and choices:
        found["response"] = _get(choices[0], "message", "content") or _get(choices[0], "text")
    elif messages and isinstance(messages[-1], Mapping) and _role(messages[-1]) == "assistant":
        found["response"] = messages.pop().get("content")
    if messages:
        found["instruction"] = messages
    return {k: v for k, v in found.items() if v is not None}


def _get(value: Any, *keys: str) -> Any:
    """What lies under a path of keys, or None."""
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value
