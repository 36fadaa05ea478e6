"""Which judge is used when nobody names one: the best that this machine has room for."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from mene.errors import UsageError
from mene.preset import Preset, load_preset
from mene.weights.cache import cache_folder
from mene.weights.fetch import is_here

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
    lack = lacking(load_preset(BEST))
    if not lack:
        return BEST, ""
    return SMALL, f"{BEST} {lack}; {SMALL} judges instead, which is far weaker (--judge says which)"


def lacking(preset: Preset) -> str:
    """What this machine lacks for a judge, in words; empty where it has it all."""
    free = free_memory()
    if preset.memory and free is not None and free < preset.memory:
        return f"needs {preset.memory / 1e9:.1f} GB of memory, and {free / 1e9:.1f} GB are free"
    size = preset.weights.size
    if size and not is_here(preset.weights):
        folder = existing(cache_folder())
        room = shutil.disk_usage(folder).free
        if room < size:
            return (
                f"needs {size / 1e9:.1f} GB in {cache_folder()}, and {room / 1e9:.1f} GB are free "
                "(MENE_CACHE names another folder)"
            )
    return ""


def existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    return next((f for f in (folder, *folder.absolute().parents) if f.exists()), Path("/"))


def free_memory() -> int | None:
    """Bytes that this process may still take: of the machine, or of the container it is in. None: not known."""
    found = [n for n in (_of_machine(), _of_container(Path("/sys/fs/cgroup"))) if n is not None]
    return min(found) if found else None


def _of_machine() -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            name, _, value = line.partition(":")
            if name == "MemAvailable":
                return int(value.split()[0]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    try:  # no such file on macOS; what is in use there is not known
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return None


def _of_container(folder: Path) -> int | None:
    """What a memory limit leaves (cgroup v2). Files in the page cache count as used there, and give way."""
    try:
        limit = int((folder / "memory.max").read_text())  # "max": no limit
        used = int((folder / "memory.current").read_text())
        stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        return limit - used + int(stat.get("inactive_file", 0))
    except (OSError, ValueError):
        return None
