"""RewardBench, filtered split: the better response is named ``chosen``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from mene.bench.sets.seats import seated


def rows(records: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for number, record in enumerate(records):
        name = f"rb-{number:04d}"
        yield {
            "id": name,
            "source": record["subset"],
            "instruction": record["prompt"],
            **seated(name, record["chosen"], record["rejected"]),
        }
