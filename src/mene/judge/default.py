"""Which judge is used when nobody names one: the best that this machine has room for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from mene.errors import UsageError
from mene.judge.preset import Preset, load_preset
from mene.weights.cache import cache_folder, free_space
from mene.weights.fetch import home, is_here

BEST, SMALL = "base", "nano"


def default_judge() -> tuple[str, str]:
    """Its name, and why it is not the best one (empty where it is, or where ``MENE_JUDGE`` names it).

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
    """What this machine lacks for a judge, in words; empty where it has it all.

    What counts is what the machine has, not what is free at the moment: the same command must mean the same judge when it is
    given again.
    """
    memory = memory_size()
    if preset.memory and memory is not None and memory < preset.memory:
        return f"wants {preset.memory / 1e9:.1f} GB of memory, and there are {memory / 1e9:.1f} GB"
    size = preset.weights.size
    if size and not is_here(preset.weights):
        place = home(preset.weights)
        folder = place.parent if place else cache_folder()
        there = sum(f.stat().st_size for f in folder.glob("*") if f.is_file())  # of a download
        free = free_space(folder)
        if free < size - there:
            return (
                f"needs {(size - there) / 1e9:.1f} GB in {cache_folder()}, and {free / 1e9:.1f} GB are free "
                "(MENE_CACHE names another folder)"
            )
    return ""


def memory_size() -> int | None:
    """Bytes of memory of the machine, or of the container that this process is in. None: not known."""
    try:
        machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        machine = 0
    found = [n for n in (machine, *_limits(Path("/"))) if n > 0]
    return min(found) if found else None


def _limits(root: Path) -> Iterator[int]:
    """The limits of all control groups that this process is in: of version 2, and of version 1."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, kinds, own = [*line.split(":", 2), "", ""][:3]
        if kinds == "":
            folder, name = root / "sys/fs/cgroup", "memory.max"
        elif "memory" in kinds.split(","):
            folder, name = root / "sys/fs/cgroup/memory", "memory.limit_in_bytes"
        else:
            continue
        parts = Path(own).parts[1:]
        for depth in range(len(parts) + 1):
            try:
                yield int(folder.joinpath(*parts[:depth], name).read_text())
            except (OSError, ValueError):  # "max": no limit
                continue
