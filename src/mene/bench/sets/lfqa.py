"""LFQA: an expert's vote, -1 = the first answer, 1 = the second; order as published."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any


def rows(records: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for number, record in enumerate(records):
        kinds = {record["answer_a_type"], record["answer_b_type"]}
        a, b = (
            re.sub(r"<br */?>", "\n", record[seat]).strip() for seat in ("answer_a", "answer_b")
        )
        yield {
            "id": f"lfqa-{number:03d}",
            "source": "human_vs_human" if kinds == {"human"} else "human_vs_machine",
            "kind": "pairwise",
            "instruction": record["question"],
            "response_a": a,
            "response_b": b,
            "label": {-1: "A", 1: "B"}[int(record["overall_preference"])],
            "label_source": "human",
            "order": "published",
        }
