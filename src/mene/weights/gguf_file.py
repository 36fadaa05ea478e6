"""Reading the header of a GGUF file, its fields and tensor table, without trusting any number in it.

llama.cpp aborts the process on some damaged headers, so files are read here first; `gguf_header.py` checks whether the content
makes a model. ``gguf.GGUFReader`` creates an array object per vocabulary entry, which takes seconds, and for a hostile header
never ends. The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import math
import mmap
import struct
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from mene.errors import ModelError

_STRING, _ARRAY = 8, 9
_NUMBERS = {
    0: "B",
    1: "b",
    2: "H",
    3: "h",
    4: "I",
    5: "i",
    6: "f",
    7: "?",
    10: "Q",
    11: "q",
    12: "d",
}
# Far above existing models (80 fields, 2,000 tensors, 260,000 tokens with 510,000 merges), and quick to read.
MOST_FIELDS, MOST_TENSORS, MOST_ENTRIES = 10_000, 65_536, 4_000_000
MOST_DIMENSIONS = 4
LONGEST_KEY, LONGEST_NAME = 65_535, 63  # bytes; limits of the format and of llama.cpp


class Damaged(Exception):
    """What is wrong with a file, in a few words; `read_gguf` adds the file's name."""


class Tensor(NamedTuple):
    """An entry of the tensor table: shape as in GGUF, format number, offset of its data."""

    name: str
    shape: tuple[int, ...]
    form: int
    offset: int


@dataclass(frozen=True)
class GGUF:
    """The content before the weights. Strings in arrays stay bytes.

    Attributes:
        fields: key -> a string, a number, or a list of them.
        kinds: key -> type of its value (``gguf.GGUFValueType``), and of a list's entries.
        tensors: in the order of the file; offsets are relative to ``start``.
    """

    fields: dict[str, Any]
    kinds: dict[str, tuple[int, int | None]]
    tensors: tuple[Tensor, ...]
    start: int


def read_gguf(path: Path) -> GGUF:
    """Read the header of ``path``, and check that all tensors lie within the file. The result is shared: do not change it.

    Raises:
        ModelError: no such file, not a GGUF file, damaged, truncated, or with impossible sizes.
    """
    try:
        found = path.stat()
    except OSError:
        return _read(path, ())
    return _read(path, (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns))


# A load calls it five times, and reading a vocabulary takes a tenth of a second.
@lru_cache(maxsize=4)
def _read(path: Path, version: tuple[int, ...]) -> GGUF:
    # Reading a pipe or a device could block or never end.
    if path.exists() and not path.is_file():
        raise ModelError(f"{path}: not a file; give a model in llama.cpp's format (.gguf)")
    try:
        with path.open("rb") as file:
            if file.read(4) != b"GGUF":
                raise ModelError(f"{path}: not a GGUF file; give a model in llama.cpp's format")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _Reader(data).whole()
    except FileNotFoundError:
        raise ModelError(f"{path}: no such model file") from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot read the model: {error}") from None
    except Damaged as error:
        raise damaged(path, error) from None


def damaged(path: Path, reason: object) -> ModelError:
    """Return the error about an unusable GGUF file."""
    return ModelError(f"{path}: damaged GGUF file ({reason}); download it again, or give another")


class _Reader:
    """A position in the data that only moves forward, and never past the end."""

    def __init__(self, data: mmap.mmap) -> None:
        self.data = data
        self.at = 4
        self.entries = 0

    def whole(self) -> GGUF:
        (version,) = self.numbers("I", 1)
        if version not in (2, 3):
            raise Damaged(f"GGUF version {version}; mene reads 2 and 3")
        tensors, fields = self.numbers("Q", 2)
        if tensors > MOST_TENSORS or fields > MOST_FIELDS:
            raise Damaged(f"it says that it has {fields} fields and {tensors} tensors")
        found: dict[str, Any] = {}
        kinds: dict[str, tuple[int, int | None]] = {}
        for _ in range(fields):
            key = self.text("a key", LONGEST_KEY)
            if not key or key in found:
                raise Damaged(f"the key {key[:60]!r} twice" if key else "a key without a name")
            (kind,) = self.numbers("I", 1)
            kinds[key] = kind, None
            if kind == _ARRAY:
                (inner,) = self.numbers("I", 1)
                kinds[key] = kind, inner
            try:
                found[key] = self.value(*kinds[key])
            except Damaged as error:
                raise Damaged(f"{key[:60]!r}: {error}") from None
        table = tuple(self.tensor() for _ in range(tensors))
        start = self.start(found.get("general.alignment", 32))
        self.check_places(table, start, found.get("general.alignment", 32))
        return GGUF(found, kinds, table, start)

    def numbers(self, form: str, count: int) -> tuple[Any, ...]:
        size = struct.calcsize("<" + form) * count
        if size > len(self.data) - self.at:
            raise Damaged("it ends too early")
        found = struct.unpack_from(f"<{count}{form}", self.data, self.at)
        self.at += size
        return found

    def string(self) -> bytes:
        (length,) = self.numbers("Q", 1)
        end = self.at + length
        if end > len(self.data):
            raise Damaged("a text that is longer than the file")
        found = self.data[self.at : end]
        self.at = end
        return found

    def strings(self, count: int) -> list[bytes]:
        """Read several strings in a tight loop: a vocabulary has a quarter of a million."""
        data, at, end = self.data, self.at, len(self.data)
        length_at = struct.Struct("<Q").unpack_from
        found = []
        for _ in range(count):
            if at + 8 > end:
                raise Damaged("it ends too early")
            start = at + 8
            at = start + length_at(data, at)[0]
            if at > end:
                raise Damaged("a text that is longer than the file")
            found.append(data[start:at])
        self.at = at
        return found

    def text(self, what: str, most: int) -> str:
        raw = self.string()
        if len(raw) > most:
            raise Damaged(f"{what} of {len(raw)} bytes")
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            raise Damaged(f"{what} that is not UTF-8") from None

    def value(self, kind: int, inner: int | None = None) -> Any:
        if kind == _STRING:
            return self.string().decode("utf-8", "replace")
        if kind in _NUMBERS:
            return self.numbers(_NUMBERS[kind], 1)[0]
        if kind != _ARRAY or inner is None:
            raise Damaged(f"a value of the unknown kind {kind}")
        (length,) = self.numbers("Q", 1)
        self.entries += length
        if self.entries > MOST_ENTRIES:
            raise Damaged(f"a list of {length} entries")
        if inner == _STRING:
            return self.strings(length)
        if inner not in _NUMBERS:
            raise Damaged(f"a list of the unknown kind {inner}")
        return list(self.numbers(_NUMBERS[inner], length))

    def tensor(self) -> Tensor:
        name = self.text("a tensor's name", LONGEST_NAME)
        (dimensions,) = self.numbers("I", 1)
        if not 1 <= dimensions <= MOST_DIMENSIONS:
            raise Damaged(f"{name}: a tensor of {dimensions} dimensions")
        shape = self.numbers("Q", dimensions)
        form, offset = *self.numbers("I", 1), *self.numbers("Q", 1)
        return Tensor(name, shape, form, offset)

    def start(self, alignment: Any) -> int:
        """Return where the data begin: after the table, at the next multiple of ``alignment``."""
        whole_power = type(alignment) is int and alignment & (alignment - 1) == 0
        if not whole_power or not 8 <= alignment <= 1 << 20:
            raise Damaged(f"general.alignment is {str(alignment)[:40]!r}")
        return -(-self.at // alignment) * alignment

    def check_places(self, table: tuple[Tensor, ...], start: int, alignment: int) -> None:
        """Check that every tensor has a unique name, a size above 0, and its data within the file."""
        from gguf import GGML_QUANT_SIZES  # loads slowly

        blocks = {int(form): sizes for form, sizes in GGML_QUANT_SIZES.items()}
        names: set[str] = set()
        for name, shape, form, offset in table:
            if name in names:
                raise Damaged(f"the tensor {name!r} twice")
            names.add(name)
            values = math.prod(shape)
            if not 0 < values < 1 << 60 or offset % alignment:
                raise Damaged(f"the tensor {name!r} has the shape {shape} at {offset}")
            # Formats unknown to this version of gguf may be known to llama.cpp.
            block, size = blocks.get(form, (1, 0))
            if shape[0] % block:
                raise Damaged(f"the tensor {name!r}: {shape[0]} values do not divide into blocks")
            end = start + offset + values // block * size
            if end > len(self.data):
                raise Damaged(
                    f"it is cut off: the tensor {name!r} ends at {end} of {len(self.data)} bytes"
                )
