"""InstruSum: ``winner`` 1 or 2; order as published."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any


def rows(records: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for number, record in enumerate(records):
        yield {
            "id": f"instrusum-{number:04d}",
            "source": "all",
            "kind": "pairwise",
            "instruction": f"Summarize the article so that this is met: {record['requirement']}\n\n"
            f"{record['article']}",
            "response_a": record["output_1"],
            "response_b": record["output_2"],
            "label": {"1": "A", "2": "B"}[str(record["winner"])],
            "label_source": "human",
            "order": "published",
        }
