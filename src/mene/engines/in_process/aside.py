"""Arrays put aside in a file: they go on being arrays, and take no memory that the system cannot have back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

# Bytes under which it is not worth it.
LEAST = 1 << 16
ALIGNED = 64


class Aside:
    """A file of arrays, deleted at the end of its ``with``. Until then it holds them, whoever else does not.

    Args:
        path: where the file is to be.

    Raises:
        OSError: it cannot be written; also on each call.
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
        """The same array, to be read only, in the file if it is large."""
        array = np.ascontiguousarray(array)
        if array.nbytes >= LEAST:
            self._file.write(bytes(-self._file.tell() % ALIGNED))
            at = self._file.tell()
            self._file.write(array.data.cast("B"))
            self._file.flush()
            # Copied where written: OpenVINO takes none that cannot be written, and writes to none.
            array = np.memmap(self._path, array.dtype, "c", at, array.shape)
        self._held.append(array)
        return array
