"""Which ledgers belong to a table: those whose names begin with the table's name."""

from __future__ import annotations

import glob
from pathlib import Path

from mene.runs.source import STDIN

_ENDINGS = (".gz", ".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet", ".pq", ".eval")


def stem(table: str) -> Path:
    """Return a table's path without its file endings; the names of its ledgers begin with it."""
    path = Path(table)
    for ending in reversed(path.suffixes):
        if ending.lower() in _ENDINGS:
            path = path.with_suffix("")
    return path


def ledgers_beside(table: str, *outputs: Path | None) -> list[Path]:
    """Return the JSON Lines files whose names begin with the table's name, in its folder and in those of ``outputs``: ledgers
    that may hold verdicts on it."""
    if table == STDIN:
        return []
    own = stem(table)
    folders = dict.fromkeys([own.parent, *(path.parent for path in outputs if path is not None)])
    found = (p for f in folders for p in sorted(f.glob(f"{glob.escape(own.name)}.*jsonl")))
    return [path for path in found if path.is_file() and not path.samefile(table)]
