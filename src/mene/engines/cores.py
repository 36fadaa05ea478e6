"""The cores, the memory and the processor of this machine that an engine may use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path


def physical_cores() -> int:
    """Return the number of physical cores available to this process (hyper-threads slow engines down). ``MENE_THREADS`` lowers
    it, e.g. where several workers share a machine."""
    if (named := os.environ.get("MENE_THREADS", "")).isdecimal():
        return max(1, int(named))
    usable = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    try:
        shared = Path("/sys/devices/system/cpu/smt/active").read_text().strip() == "1"
    except OSError:
        shared = False
    return max(1, usable // 2 if shared else usable)


def processor_has(feature: str) -> bool:
    """Return whether this processor has an extension, by NumPy's name of it (``AVX512F``)."""
    try:
        from numpy._core._multiarray_umath import __cpu_features__ as features
    except ImportError:  # NumPy 1
        return False
    return bool(features.get(feature))


def processor_says(flag: str) -> bool:
    """Return whether Linux names a flag of this processor (``amx_bf16``), for extensions that NumPy does not know. False on
    other systems."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return False
    return any(line.startswith("flags") and flag in line.split() for line in lines)


def memory_size() -> int | None:
    """Return the bytes of memory of the machine, or of this process's container; None where unknown."""
    try:
        machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        machine = 0
    found = [n for n in (machine, *_limits(Path("/"))) if n > 0]
    return min(found) if found else None


def _limits(root: Path) -> Iterator[int]:
    """Yield the memory limits of this process's control groups, of version 2 and version 1."""
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
