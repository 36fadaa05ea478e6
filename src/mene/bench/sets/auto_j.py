"""Auto-J Eval-P: 0 = the first, 1 = the second, 2 = tie; order as published."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any


def rows(records: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for number, record in enumerate(records):
        yield {
            "id": f"autoj-{number:04d}",
            "source": record["scenario"],
            "kind": "pairwise",
            "instruction": record["prompt"],
            "response_a": record["response 1"] or "(empty response)",
            "response_b": record["response 2"] or "(empty response)",
            "label": ["A", "B", "tie"][int(record["label"])],
            "label_source": "human",
            "order": "published",
        }
