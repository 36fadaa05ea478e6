"""The catalogue of raw sets, ``sources.yaml``: recipes use its names; ``curate/raw/sources.py`` reads the rest."""

from __future__ import annotations

from functools import cache
from typing import Any

from mene.errors import UsageError, nearest
from mene.library.load import LIBRARY
from mene.library.yaml_file import read_yaml


@cache
def catalogue() -> dict[str, dict[str, Any]]:
    """Return the file's content: ``views`` and ``sources``, each by name."""
    return read_yaml((LIBRARY / "sources.yaml").read_text("utf-8"), "sources.yaml")


def check_source(name: str) -> None:
    """Raise ``UsageError`` with the nearest name where no raw set has this one."""
    known = catalogue()["sources"]
    if name not in known:
        raise UsageError(f'no source "{name}"{nearest(name, known)}; see `mene curate --list`')
