"""BiGGen Bench: results with human scores."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any


def rows(records: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for number, record in enumerate(records):
        rubric = record["score_rubric"]
        yield {
            "id": f"biggen-{number:04d}",
            "source": record["capability"],
            "kind": "absolute",
            "instruction": "\n\n".join(
                t for t in (record.get("system_prompt"), record["input"]) if t
            ),
            "response": record["response"],
            "reference": record.get("reference_answer"),
            "rubric": {
                "criteria": rubric["criteria"],
                **{f"score{i}": rubric[f"score{i}_description"] for i in range(1, 6)},
            },
            "scale": [1, 5],
            "label": float(record["human_score"]),
            "label_source": "human",
            "response_model": record.get("model_name"),
        }
