"""The YAML files of texts that the generators draw from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mene.library.yaml_file import read_yaml

FOLDER = Path(__file__).parent


def read_texts(name: str) -> Any:
    """Return a file's content, by its path in this folder: ``safety.yaml``, ``documents/en.yaml``."""
    return read_yaml((FOLDER / name).read_text("utf-8"), name)
