"""HHH alignment of prometheus-eval: the better answer is named ``chosen``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from mene.bench.sets.prometheus import sections
from mene.bench.sets.seats import seated


def rows(records: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for number, record in enumerate(records):
        chosen = sections(record["chosen_instruction"])
        rejected = sections(record["rejected_instruction"])
        name = f"hhh-{number:03d}"
        yield {
            "id": name,
            "source": record["source"],
            "instruction": chosen["instruction"],
            **seated(name, chosen["response"], rejected["response"]),
        }
