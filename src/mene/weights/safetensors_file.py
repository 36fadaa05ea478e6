"""Tensors of a safetensors file, one at a time, as NumPy arrays.

The package ``safetensors`` reads bfloat16 only with PyTorch. The format: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mene.errors import ModelError

# NumPy has no bfloat16, so its bits are read as integers.
KINDS = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "BF16": np.dtype("<u2")}
MOST_HEADER = 100_000_000  # maximum bytes, by the format


class Stored(NamedTuple):
    """A tensor's place in a file. ``kind``: the format's name of its type, e.g. ``F32``."""

    file: Path
    kind: str
    shape: tuple[int, ...]
    start: int

    def read(self) -> np.ndarray:
        """Return its numbers: float32, float16, or the bits of bfloat16 as uint16.

        Raises:
            ModelError: another type, or the file was truncated meanwhile.
        """
        if self.kind not in KINDS:
            raise ModelError(
                f"{self.file}: weights in {self.kind}, which this engine does not know"
            )
        count = math.prod(self.shape)
        # Read, not memory-mapped, or the pages of the whole model would stay in memory.
        found = np.fromfile(self.file, KINDS[self.kind], count, offset=self.start)
        if len(found) < count:
            raise _damaged(self.file, "it ends too early")
        return found.reshape(self.shape)

    def plain(self) -> np.ndarray:
        """Return its numbers as float32."""
        found = self.read()
        return widened(found) if found.dtype == np.uint16 else found.astype(np.float32)


def widened(bits: np.ndarray) -> np.ndarray:
    """Return bfloat16 numbers, given as bits, as float32."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def read_safetensors(path: Path) -> dict[str, Stored]:
    """Return the table of a file: name -> tensor.

    Raises:
        ModelError: no such file, another format, or truncated.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > min(size - 8, MOST_HEADER):
                raise _damaged(path, "its header is longer than the file")
            header = json.loads(file.read(length))
    except OSError as error:
        raise ModelError(f"{path}: cannot read the weights: {error.strerror}") from None
    except (ValueError, RecursionError, struct.error):
        raise _damaged(path, "no header") from None
    if not isinstance(header, dict):
        raise _damaged(path, "no table of tensors")
    start = 8 + length
    return {
        name: _stored(path, name, entry, start, size)
        for name, entry in header.items()
        if name != "__metadata__"
    }


def _stored(path: Path, name: str, entry: Any, start: int, size: int) -> Stored:
    try:
        kind, shape, (first, last) = entry["dtype"], entry["shape"], entry["data_offsets"]
        numbers = [*shape, first, last]
    except (TypeError, KeyError, ValueError):
        raise _damaged(path, f"no entry for {name!r:.80}") from None
    if not isinstance(kind, str) or any(type(n) is not int or n < 0 for n in numbers):
        raise _damaged(path, f"no entry for {name!r:.80}")
    wide = KINDS[kind].itemsize * math.prod(shape) if kind in KINDS else last - first
    if not first <= last <= size - start or last - first != wide:
        raise _damaged(path, f"{name!r:.80} does not lie in it")
    return Stored(path, kind, tuple(shape), start + first)


def _damaged(path: Path, reason: str) -> ModelError:
    return ModelError(f"{path}: damaged safetensors file ({reason}); download it again")
