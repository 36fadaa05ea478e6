"""The files of texts that the generators draw from: YAML, and points written one by one as JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mene.library.yaml_file import read_yaml

FOLDER = Path(__file__).parent


def read_texts(name: str) -> Any:
    """Return a file's content, by its path in this folder: ``safety.yaml``, ``documents/en.yaml``."""
    return read_yaml((FOLDER / name).read_text("utf-8"), name)


def read_rows(name: str) -> Iterator[dict[str, Any]]:
    """Yield the lines of the ``*.jsonl`` files in a folder of this one, file by file in order of their names."""
    for path in sorted((FOLDER / name).glob("*.jsonl")):
        yield from map(json.loads, path.read_text("utf-8").splitlines())
