"""Which ledgers belong to a table: those whose names begin with its own."""

from __future__ import annotations

import glob
from pathlib import Path

from mene.runs.source import STDIN

_ENDINGS = (".gz", ".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet", ".pq", ".eval")


def stem(table: str) -> Path:
    """A table's path without the endings of its form, which the names of its ledgers begin with."""
    path = Path(table)
    for ending in reversed(path.suffixes):
        if ending.lower() in _ENDINGS:
            path = path.with_suffix("")
    return path


def ledgers_beside(table: str, *outputs: Path | None) -> list[Path]:
    """Files of a table that may hold verdicts on it: JSON lines whose names begin with its own, in its folder and in those
    of ``outputs``."""
    if table == STDIN:
        return []
    own = stem(table)
    folders = dict.fromkeys([own.parent, *(path.parent for path in outputs if path is not None)])
    found = (p for f in folders for p in sorted(f.glob(f"{glob.escape(own.name)}.*jsonl")))
    return [path for path in found if path.is_file() and not path.samefile(table)]
