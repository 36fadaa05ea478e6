"""EvalBiasBench: response 1 is always the better one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mene.bench.sets.seats import seated


def rows(records: dict[str, list[dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    for bias, pairs in records.items():
        source = bias.replace(" ", "_")
        for number, record in enumerate(pairs):
            name = f"{source}-{number:02d}"
            yield {
                "id": name,
                "source": source,
                "instruction": record["instruction"],
                **seated(name, record["response1"], record["response2"]),
            }
