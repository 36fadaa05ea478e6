"""LLM-AggreFact: 1 = supported."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any


def rows(records: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for number, record in enumerate(records):
        yield {
            "id": f"aggrefact-{number:05d}",
            "source": record["dataset"],
            "kind": "classification",
            "instruction": "Is the claim supported by the document?",
            "context": record["doc"],
            "response": record["claim"],
            "label": int(record["label"]),
            "label_source": "human",
        }
