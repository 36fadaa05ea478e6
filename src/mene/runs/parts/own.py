"""Which files in a folder mene wrote itself: verdicts are no rows to judge."""

from __future__ import annotations

import re

from mene.errors import LedgerError
from mene.runs.parse import parse_verdict
from mene.runs.parts.manifest import NAME, load
from mene.runs.parts.storage import is_remote

LEDGER = ".verdicts.jsonl"
LONGEST = 1 << 20  # bytes of a first line that are looked at
_PART = re.compile(r"part-\d{5,}-\d{10,}-[0-9a-f]{20}\.(parquet|jsonl)")


def is_own(path: str) -> bool:
    """Return whether a file is a ledger, a part of a folder of verdicts, or its manifest."""
    folder, _, name = path.replace("\\", "/").rpartition("/")
    if name == NAME:
        return _is_manifest(folder)
    if _PART.fullmatch(name):
        return True
    if is_remote(path):  # a look into each object would be a request
        return name.endswith(LEDGER)
    return name.endswith((".jsonl", ".ndjson")) and _begins_with_verdict(path)


def _is_manifest(folder: str) -> bool:
    try:
        return load(folder) is not None
    except LedgerError:
        return False


def _begins_with_verdict(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            parse_verdict(file.readline(LONGEST))
    except (OSError, ValueError):
        return False
    return True
