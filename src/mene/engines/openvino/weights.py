"""The weights of a GGUF file as OpenVINO constants, packed as in the file wherever that is exact.

OpenVINO multiplies with packed weights of the form ``(q - zero) * scale``, with a scale and a zero point per group of a row.
The common GGUF formats (Q8_0, Q6_K, Q5_0, Q5_1, Q5_K, Q4_0, Q4_1, Q4_K) have that form if zero points may be fractional.
OpenVINO GenAI's own GGUF reader rounds them to integers, which shifts every weight of a Q4_K group by up to half a step.
Other formats are unpacked, and packed again in 8 bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mene.weights.gguf_file import GGUF, Tensor

# Weights per group in our own packing.
GROUP = 32
# Rows that are unpacked to float32 at a time, for another format.
ROWS = 4096


@dataclass(frozen=True, slots=True)
class Packed:
    """A matrix as groups of small integers: ``(values - zeros) * scales``.

    Attributes:
        values: (rows, groups, weights of a group) int8, or uint8.
        scales: (rows, groups, 1) float32.
        zeros: (rows, groups, 1) float32; None = 0.
        bits: 8 or 4 (``values`` are then 0 to 15).
    """

    values: np.ndarray
    scales: np.ndarray
    zeros: np.ndarray | None = None
    bits: int = 8

    def rows(self, order: np.ndarray | slice) -> Packed:
        """Return the matrix with its rows in another order, or some of them."""
        zeros = None if self.zeros is None else self.zeros[order]
        return Packed(self.values[order], self.scales[order], zeros, self.bits)

    def plain(self) -> np.ndarray:
        """Return the unpacked matrix, float32."""
        values = self.values.astype(np.float32)
        if self.zeros is not None:
            values -= self.zeros
        values *= self.scales
        return values.reshape(len(values), -1)


class Weights:
    """The tensors of a GGUF file, by name."""

    def __init__(self, path: Path, gguf: GGUF) -> None:
        self._path = path
        self._tensors = {tensor.name: tensor for tensor in gguf.tensors}
        self._start = gguf.start

    def __contains__(self, name: str) -> bool:
        return name in self._tensors

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape, rows first, as in numpy."""
        return self._tensors[name].shape[::-1]

    def vector(self, name: str) -> np.ndarray:
        """Return a tensor as float32."""
        import gguf

        tensor = self._tensors[name]
        form = gguf.GGMLQuantizationType(tensor.form)
        return gguf.dequantize(self._raw(tensor), form).reshape(self.shape(name))

    def matrix(self, name: str) -> Packed | np.ndarray:
        """Return a matrix: packed, or in the file's float16, bfloat16 (as bits) or float32."""
        import gguf

        tensor = self._tensors[name]
        form = gguf.GGMLQuantizationType(tensor.form)
        if plain := _PLAIN.get(form.name):
            return self._raw(tensor).view(plain).reshape(self.shape(name))
        if read := _READERS.get(form.name):
            rows, width = self.shape(name)
            return read(self._raw(tensor).reshape(rows, -1), width)
        return pack(self.vector(name))

    def _raw(self, tensor: Tensor) -> np.ndarray:
        """Return the bytes of a tensor, one row of bytes per row of the matrix."""
        import gguf

        block, size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType(tensor.form)]
        rows = int(np.prod(tensor.shape[1:], dtype=np.int64))
        width = tensor.shape[0] // block * size
        # Read, not memory-mapped, or the pages of the whole model would stay in memory.
        at = self._start + tensor.offset
        return np.fromfile(self._path, np.uint8, rows * width, offset=at).reshape(rows, width)


def pack(values: np.ndarray) -> Packed:
    """Pack a matrix in 8 bits with one scale per ``GROUP`` weights; the error is at most 0.4 % of the group's largest
    weight."""
    rows, width = values.shape
    size = GROUP if width % GROUP == 0 else width
    groups = values.reshape(rows, width // size, size)
    scales = np.abs(groups).max(-1, keepdims=True) / 127
    safe = np.where(scales > 0, scales, 1)
    with np.errstate(invalid="ignore"):  # damaged weights; their scales stay NaN
        return Packed(np.rint(groups / safe).astype(np.int8), scales)


def as_bfloat16(matrix: Packed | np.ndarray) -> np.ndarray:
    """Return a matrix (``graph.Matrix``) rounded to bfloat16, as its bits: (out, in) uint16."""
    import gguf

    if isinstance(matrix, np.ndarray) and matrix.dtype == np.uint16:
        return matrix
    rows = len(matrix.values) if isinstance(matrix, Packed) else len(matrix)
    parts = []
    for at in range(0, rows, ROWS):
        some = slice(at, at + ROWS)
        plain = matrix.rows(some).plain() if isinstance(matrix, Packed) else matrix[some]
        form = gguf.GGMLQuantizationType.BF16
        parts.append(gguf.quantize(plain.astype(np.float32, copy=False), form).view(np.uint16))
    return np.concatenate(parts)


def for_rounding(matrix: Packed) -> tuple[Packed, np.ndarray | None]:
    """Return a matrix in the form that OpenVINO multiplies with rounded activations, and what that form lacks.

    The form has whole zero points and groups of at least `GROUP` weights. Where zero points are rounded, all weights of a group
    lack the same number, which belongs multiplied with the sum of the group's activations: (rows, groups) float32, or None.
    Smaller groups (Q6_K) are packed again; that moves a weight by at most 0.4 % of its group's largest, as much as the
    rounding of an activation to 8 bits.
    """
    if matrix.values.shape[2] < GROUP:
        return pack(matrix.plain()), None
    if matrix.zeros is None:
        return matrix, None
    whole = np.clip(np.rint(matrix.zeros), 0, 2**matrix.bits - 1).astype(np.float32)
    rest = ((whole - matrix.zeros) * matrix.scales)[..., 0]
    return Packed(matrix.values, matrix.scales, whole, matrix.bits), rest if rest.any() else None


def _half(raw: np.ndarray, at: int) -> np.ndarray:
    """Return the float16 at byte ``at`` of each block, as float32."""
    return np.ascontiguousarray(raw[..., at : at + 2]).view(np.float16).astype(np.float32)


def _q8_0(raw: np.ndarray, width: int) -> Packed:
    blocks = raw.reshape(len(raw), width // 32, 34)
    return Packed(np.ascontiguousarray(blocks[..., 2:]).view(np.int8), _half(blocks, 0))


def _q4_0(raw: np.ndarray, width: int) -> Packed:
    blocks = raw.reshape(len(raw), width // 32, 18)
    scales = _half(blocks, 0)
    return Packed(_halves(blocks[..., 2:]), scales, np.full_like(scales, 8), bits=4)


def _q4_1(raw: np.ndarray, width: int) -> Packed:
    blocks = raw.reshape(len(raw), width // 32, 20)
    return _with_least(_halves(blocks[..., 4:]), _half(blocks, 0), _half(blocks, 2))


def _q5_0(raw: np.ndarray, width: int) -> Packed:
    blocks = raw.reshape(len(raw), width // 32, 22)
    values = _halves(blocks[..., 6:]) | _bits(blocks[..., 2:6]) << 4
    return Packed(values.astype(np.int8) - np.int8(16), _half(blocks, 0))


def _q5_1(raw: np.ndarray, width: int) -> Packed:
    blocks = raw.reshape(len(raw), width // 32, 24)
    values = _halves(blocks[..., 8:]) | _bits(blocks[..., 4:8]) << 4
    return _with_least(values, _half(blocks, 0), _half(blocks, 2), bits=8)


def _q4_k(raw: np.ndarray, width: int) -> Packed:
    """Blocks of 256 weights: `_six_bits`, 128 bytes of weights."""
    blocks = raw.reshape(len(raw), width // 256, 144)
    # 32 bytes hold one group in their lower halves, and the next in their upper halves.
    values = _halves(blocks[..., 16:].reshape(len(raw), -1, 32))
    return _with_least(values.reshape(len(raw), -1, 32), *_six_bits(blocks))


def _q5_k(raw: np.ndarray, width: int) -> Packed:
    """Blocks of 256 weights: `_six_bits`, 32 bytes of highest bits (one of each group per byte), 128 bytes of weights."""
    blocks = raw.reshape(len(raw), width // 256, 176)
    lower = _halves(blocks[..., 48:].reshape(len(raw), -1, 32)).reshape(len(raw), -1, 8, 32)
    upper = blocks[..., None, 16:48] >> np.arange(8, dtype=np.uint8)[:, None] & 1
    values = (lower | upper << 4).reshape(len(raw), -1, 32)
    return _with_least(values, *_six_bits(blocks), bits=8)


def _six_bits(blocks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return scales and minimums of eight groups: two float16, then 12 bytes with eight 6-bit numbers for each."""
    rows = len(blocks)
    packed = blocks[..., 4:16]
    low, middle, high = packed[..., :4], packed[..., 4:8], packed[..., 8:]
    scales = np.concatenate([low & 63, (high & 15) | (low >> 6 << 4)], -1)
    least = np.concatenate([middle & 63, (high >> 4) | (middle >> 6 << 4)], -1)
    return (
        (_half(blocks, 0) * scales).reshape(rows, -1, 1),
        (-_half(blocks, 2) * least).reshape(rows, -1, 1),
    )


def _q6_k(raw: np.ndarray, width: int) -> Packed:
    """Blocks of 256 weights: 128 bytes of lower four bits, 64 of upper two, 16 one-byte scales, a float16."""
    rows = len(raw)
    blocks = raw.reshape(rows, width // 256, 210)
    low = blocks[..., :128].reshape(rows, -1, 2, 64)
    high = blocks[..., 128:192].reshape(rows, -1, 2, 1, 32)
    lower = np.concatenate([low & 15, low >> 4], -1).reshape(rows, -1, 2, 4, 32)
    upper = (high >> np.array([0, 2, 4, 6], np.uint8)[:, None]) & 3
    values = (lower | upper << 4).astype(np.int8) - np.int8(32)
    scales = _half(blocks, 208) * np.ascontiguousarray(blocks[..., 192:208]).view(np.int8)
    return Packed(values.reshape(rows, -1, 16), scales.reshape(rows, -1, 1))


def _halves(raw: np.ndarray) -> np.ndarray:
    """Split bytes into two weights each: first all lower halves, then all upper ones."""
    return np.concatenate([raw & 15, raw >> 4], -1)


def _bits(raw: np.ndarray) -> np.ndarray:
    """Return four bytes as 32 bits, the lowest first."""
    return np.unpackbits(raw, axis=-1, bitorder="little")


def _with_least(values: np.ndarray, scales: np.ndarray, least: np.ndarray, bits: int = 4) -> Packed:
    """Pack weights of the form ``values * scales + least``."""
    flat = scales == 0  # a group of equal weights: 0 * scale + least
    safe = np.where(flat, 1, scales)
    if (flat & (least != 0)).any():
        values = np.where(flat, 0, values).astype(values.dtype)
    return Packed(values, np.where(flat & (least != 0), 1, scales), -least / safe, bits)


_PLAIN = {"F32": np.float32, "F16": np.float16, "BF16": np.uint16}
_READERS: dict[str, Any] = {
    "Q8_0": _q8_0, "Q4_0": _q4_0, "Q4_1": _q4_1, "Q5_0": _q5_0, "Q5_1": _q5_1, "Q4_K": _q4_k, "Q5_K": _q5_k, "Q6_K": _q6_k,
}  # fmt: skip
