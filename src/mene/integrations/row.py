"""Conversion of inputs, outputs and references, as most tools store them, to a row that mene reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mene.values.fields import ALIASES


def row_of(inputs: Any = None, outputs: Any = None, reference: Any = None) -> dict[str, Any]:
    """Return a row of a program's input, its output, and the expected output.

    Each is a text, or a dict with names that mene knows (``question``, ``answer``, ``context``, ``expected_output``, …); the
    context may be in either. A dict with a single entry of an unknown name stands for that entry.
    """
    row: dict[str, Any] = {}
    for given, field in ((inputs, "instruction"), (reference, "reference"), (outputs, "response")):
        row |= _read(given, field)
    return row


def _read(given: Any, field: str) -> dict[str, Any]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        return {field: given}
    # The expected answer is often called just "answer".
    wanted = (field, "response", "context") if field == "reference" else (field, "context")
    found: dict[str, Any] = {}
    for name in wanted:
        columns = [column for column in ALIASES[name] if given.get(column) is not None]
        if columns:
            found.setdefault(field if name == "response" else name, given[columns[0]])
    if field not in found:
        others = [v for k, v in given.items() if v is not None and k not in ALIASES["context"]]
        if len(others) == 1:
            found[field] = others[0]
        elif "messages" in given:
            found[field] = given["messages"]
    return found
