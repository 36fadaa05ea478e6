"""Several processes of one training, as a launcher (``torchrun``, ``accelerate launch``) starts them."""

from __future__ import annotations

import os
from typing import NamedTuple


class Processes(NamedTuple):
    """This process's number, from 0, and how many there are."""

    number: int
    total: int


def processes() -> Processes:
    """Return what the launcher says; without one, the first of one."""
    return Processes(int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1")))
