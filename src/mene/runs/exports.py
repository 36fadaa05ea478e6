"""Exports that are a single JSON object: where their rows are. Also log lines that are not rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mene.values.forms import form_of
from mene.values.path import found_at

# Where tools keep the rows of an export: Inspect, promptfoo (current and older format), DeepEval's test run,
# pages of the APIs of OpenAI, Langfuse and Phoenix, LangSmith, MLflow, Braintrust.
PLACES = (
    "samples", "results.results", "results", "testCases", "conversationalTestCases", "test_cases", "data", "rows",
    "traces", "runs", "spans", "events", "examples", "items", "conversations",
)  # fmt: skip


def rows_of(export: Mapping[str, Any]) -> list[tuple[str, Any]] | None:
    """Return (``samples, item 1``, row) for the rows of a known kind of export; None for an unknown one."""
    if (form := form_of(export)) is not None and form.reads:
        return [("", export)]
    found: list[tuple[str, Any]] = []
    for place in PLACES:
        rows = found_at(export, place)
        if isinstance(rows, list) and rows and all(isinstance(row, dict) for row in rows):
            found += [(f"{place}, item {n}", named(row)) for n, row in enumerate(rows, start=1)]
            if place not in ("testCases", "conversationalTestCases"):
                break
    return found or None


def named(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row; a sample that Inspect ran several times gets a different id for each run."""
    epoch = row.get("epoch")
    if isinstance(epoch, int) and epoch > 1 and "target" in row and "id" in row:
        return {**row, "id": f"{row['id']} (epoch {epoch})"}
    return row


def is_beside(values: Mapping[str, Any]) -> bool:
    """Return whether a log line of OpenAI evals holds no model's answer, such as its header, its end or a score."""
    if len(values) == 1:
        spec = values.get("spec")
        head = isinstance(spec, Mapping) and "eval_name" in spec
        return head or isinstance(values.get("final_report"), Mapping)
    event = {"run_id", "event_id", "sample_id", "type", "data"} <= values.keys()
    return event and values["type"] != "sampling"
