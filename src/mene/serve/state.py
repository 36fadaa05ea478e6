"""Conversion of a System One state to a sample: known names fill its fields, and nothing is left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mene.errors import SampleError
from mene.sample import Sample
from mene.serve.body import text_of
from mene.serve.door import Limits, wrong
from mene.values.fields import ALIASES

KNOWN = ("instruction", "response", "context", "reference")
PAIR = ("response_a", "response_b")
Text = str | dict[str, Any] | list[Any]


def sample_of(state: Text, pair: bool, limits: Limits) -> tuple[Sample, tuple[str, ...]]:
    """Return the state as a sample, and the fields that it fills.

    Known names fill their fields. All else keeps its names, since a question may mention them; it becomes the response or, if
    there is one, part of the context.

    Args:
        pair: the question is which of two responses is better.

    Raises:
        Refused: a field is too long, or cannot be read.
    """
    if not isinstance(state, dict):
        return Sample(response=text_of(state, limits, "state")), ("response",)
    if len(state) == 1:
        [inner] = state.values()
        if isinstance(inner, dict) and any(_known(inner, field) for field in KNOWN):
            state = inner
    wanted = (*KNOWN, *PAIR) if pair and all(_known(state, field) for field in PAIR) else KNOWN
    columns = {field: name for field in wanted if (name := _known(state, field)) is not None}
    if "response" not in columns and "response_a" not in columns and len(columns) == len(state):
        columns = {}  # otherwise nothing would be left to judge
    try:
        sample = Sample.from_row({name: state[name] for name in columns.values()}, columns)
    except SampleError as error:
        raise wrong(str(error), "state") from None
    changes: dict[str, str] = {}
    if rest := {key: value for key, value in state.items() if key not in columns.values()}:
        text = text_of(rest, limits, "state")
        judged = sample.response is not None or "response_a" in columns
        changes = {"response": text}
        if judged:
            changes = {"context": f"{sample.context}\n\n{text}" if sample.context else text}
    if changes:
        sample = sample.model_copy(update=changes)
    fields = tuple(field for field in wanted if getattr(sample, field) is not None)
    for field in fields:
        text_of(getattr(sample, field), limits, "state", field)
    if not fields:
        return Sample(response=text_of(state, limits, "state")), ("response",)
    return sample, fields


def _known(state: Mapping[str, Any], field: str) -> str | None:
    """Return the key of a field in a state; None if it has none."""
    for name in ALIASES[field]:
        if state.get(name) is not None:
            return name
    return None
