"""Arrays in a memory-mapped file: usable as arrays, while the system can reclaim their memory at any time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

# Smaller arrays (in bytes) stay in memory.
LEAST = 1 << 16
ALIGNED = 64


class Aside:
    """A file of arrays, deleted at the end of its ``with``. It keeps the arrays alive until then.

    Args:
        path: of the file, which is created.

    Raises:
        OSError: the file cannot be written; also on each call.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("wb")
        self._held: list[np.ndarray] = []

    def __enter__(self) -> Aside:
        return self

    def __exit__(self, *_: Any) -> None:
        self._held.clear()
        self._file.close()
        self._path.unlink(missing_ok=True)

    def __call__(self, array: np.ndarray) -> np.ndarray:
        """Return the same array, read-only, mapped from the file if it is large."""
        array = np.ascontiguousarray(array)
        if array.nbytes >= LEAST:
            self._file.write(bytes(-self._file.tell() % ALIGNED))
            at = self._file.tell()
            self._file.write(array.data.cast("B"))
            self._file.flush()
            # Copy-on-write: OpenVINO requires writable arrays, but does not write to them.
            array = np.memmap(self._path, array.dtype, "c", at, array.shape)
        self._held.append(array)
        return array
