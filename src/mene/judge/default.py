"""The judge used when none is named: the best one that this machine has room for."""

from __future__ import annotations

import os

from mene.engines.cores import memory_size
from mene.errors import UsageError
from mene.judge.preset import Preset, load_preset
from mene.weights.cache import cache_folder, free_space
from mene.weights.fetch import home, is_here

BEST, SMALL = "base", "nano"


def default_judge() -> tuple[str, str]:
    """Return its name, and why it is not the best one (empty where it is, or where ``MENE_JUDGE`` names it).

    Raises:
        UsageError: ``MENE_JUDGE`` names no judge.
    """
    if chosen := os.environ.get("MENE_JUDGE"):
        try:
            load_preset(chosen)
        except UsageError as error:
            raise UsageError(f"MENE_JUDGE: {error}") from None
        return chosen, ""
    missing = what_is_missing(load_preset(BEST))
    if not missing:
        return BEST, ""
    return (
        SMALL,
        f"{BEST} {missing}; {SMALL} judges instead, which is far weaker (--judge says which)",
    )


def what_is_missing(preset: Preset) -> str:
    """Return what this machine lacks for a judge, in words; empty where it lacks nothing.

    Total memory counts, not free memory, so that the same command always means the same judge.
    """
    memory = memory_size()
    if preset.memory and memory is not None and memory < preset.memory:
        return f"wants {preset.memory / 1e9:.1f} GB of memory, but this machine has {memory / 1e9:.1f} GB"
    size = preset.weights.size
    if size and not is_here(preset.weights):
        place = home(preset.weights)
        folder = place.parent if place else cache_folder()
        # Size of a partial download.
        there = sum(f.stat().st_size for f in folder.glob("*") if f.is_file())
        free = free_space(folder)
        if free < size - there:
            return (
                f"needs {(size - there) / 1e9:.1f} GB in {cache_folder()}, and {free / 1e9:.1f} GB are free "
                "there (MENE_CACHE names another folder)"
            )
    return ""
