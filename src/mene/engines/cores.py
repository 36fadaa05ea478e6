"""How many threads an engine computes with on this machine."""

from __future__ import annotations

import os
from pathlib import Path


def physical_cores() -> int:
    """Cores this process may use, hyper-threads counted once (they slow engines down)."""
    usable = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    try:
        shared = Path("/sys/devices/system/cpu/smt/active").read_text().strip() == "1"
    except OSError:
        shared = False
    return max(1, usable // 2 if shared else usable)
