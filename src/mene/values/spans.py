"""Reading sample fields from spans of MLflow and OpenInference (Phoenix) where a path is not enough."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mene.values.form import Found, Reader, inside
from mene.values.path import found_at, opened
from mene.values.plain import plain


def mlflow_root(key: str, field: str) -> Reader:
    """Return a reader of the input or output of a trace's root span."""

    def read(row: Mapping[str, Any]) -> Found | None:
        spans = found_at(row, "data.spans")
        for number, span in enumerate(spans if isinstance(spans, list) else []):
            if isinstance(span, Mapping) and not (
                span.get("parent_span_id") or span.get("parent_id")
            ):
                path = f"data.spans.{number}.attributes.{key}"
                return inside(found_at(row, path), path, field)
        return None

    return read


def mlflow_retrieved(row: Mapping[str, Any]) -> Found | None:
    """Return the output of a trace's last retriever."""
    path = "data.spans" if "data" in row else "spans"
    spans = opened(found_at(row, path))
    spans = spans if isinstance(spans, list) else []
    for number, span in reversed(list(enumerate(spans))):
        kind = found_at(span, "attributes.mlflow.spanType")
        if isinstance(kind, str) and kind.strip('"') == "RETRIEVER":
            place = f"{path}.{number}.attributes.mlflow.spanOutputs"
            return place, opened(found_at(row, place))
    return None


def flattened(key: str, item: str) -> Reader:
    """Return a reader of lists that OpenInference flattens to one attribute per value:
    ``llm.output_messages.0.message.role``."""

    def read(row: Mapping[str, Any]) -> Found | None:
        attributes = plain(row.get("attributes"))
        if not isinstance(attributes, Mapping):
            return None
        tree: dict[str, Any] = {}
        for name, value in attributes.items():
            if not str(name).startswith(f"{key}."):
                continue
            *way, last = _steps(str(name).removeprefix(f"{key}."))
            level = tree
            for step in way:
                level = level.setdefault(step, {})
                if not isinstance(level, dict):
                    return None
            level[last] = value
        items = [one for one in map(_list_of, tree.values()) if isinstance(one, Mapping)]
        found = [one.get(item, one) if item == "document" else one for one in items]
        return (f"attributes.{key}", found) if found else None

    return read


def _steps(name: str) -> list[str]:
    """Split a name at list positions only: ``0``, ``message.tool_calls``, ``1``, ``tool_call.id``."""
    steps: list[str] = []
    for word in name.split("."):
        fresh = word.isdigit() or not steps or steps[-1].isdigit()
        steps = [*steps, word] if fresh else [*steps[:-1], f"{steps[-1]}.{word}"]
    return steps


def _list_of(tree: Any) -> Any:
    """Convert objects whose keys are all list positions to lists."""
    if not isinstance(tree, dict):
        return tree
    found = {key: _list_of(value) for key, value in tree.items()}
    if found and all(key.isdigit() for key in found):
        return list(found.values())
    if all(key.startswith("document.") for key in found):
        return {key.removeprefix("document."): value for key, value in found.items()}
    return found


def documents(row: Mapping[str, Any]) -> Found | None:
    """Return the documents in Phoenix's data frame."""
    found = opened(row.get("attributes.retrieval.documents"))
    if not isinstance(found, list):
        return None
    read = [_list_of(dict(one)) if isinstance(one, Mapping) else one for one in found]
    return "attributes.retrieval.documents", read
