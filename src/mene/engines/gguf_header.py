"""The few facts mene needs from the header of a GGUF file.

``gguf.GGUFReader`` makes an array object of every vocabulary entry and takes seconds on a large
vocabulary; the first verdict should not wait for that. The format is fixed:
https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
_CONTROL = 3  # llama_token_type: control


@dataclass(frozen=True)
class GGUFHeader:
    """Facts of one model file.

    Attributes:
        architecture: e.g. ``llama``.
        context: tokens the model was trained to read at once.
        kv_values_per_token: numbers that one token keeps in the KV cache, all layers.
        control_tokens: texts of the control tokens.
        file_type: the number format of most weights, as llama.cpp counts them (``llama_ftype``); None = not said.
    """

    architecture: str
    context: int
    kv_values_per_token: int
    control_tokens: frozenset[str]
    file_type: int | None = None


def read_header(path: Path) -> GGUFHeader:
    """Read the header of ``path``.

    Raises:
        ModelError: not a GGUF file, or damaged.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            if data[:4] != b"GGUF":
                raise ModelError(f"{path}: not a GGUF file; give a model in llama.cpp's format")
            fields = _fields(data)
    except FileNotFoundError:
        raise ModelError(f"{path}: no such model file") from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot read the model: {error}") from None
    except (struct.error, IndexError, KeyError, UnicodeDecodeError):
        raise ModelError(f"{path}: damaged GGUF file; download it again") from None
    arch = str(fields.get("general.architecture", "unknown"))

    def number(name: str, default: int) -> int:
        value = fields.get(f"{arch}.{name}", default)
        return int(max(value) if isinstance(value, list) else value)  # some models vary by layer

    heads = max(number("attention.head_count", 1), 1)
    width = number("embedding_length", 0) // heads
    kv_heads = number("attention.head_count_kv", heads)
    values = number("attention.key_length", width) + number("attention.value_length", width)
    tokens: list[bytes] = fields.get("tokenizer.ggml.tokens", [])
    types: list[int] = fields.get("tokenizer.ggml.token_type", [])
    return GGUFHeader(
        architecture=arch,
        context=number("context_length", 2048),
        kv_values_per_token=number("block_count", 1) * kv_heads * values,
        control_tokens=frozenset(
            text.decode("utf-8", "ignore")
            for text, kind in zip(tokens, types, strict=False)
            if kind == _CONTROL and len(text) > 1
        ),
        file_type=fields.get("general.file_type"),
    )


def _fields(data: mmap.mmap) -> dict[str, Any]:
    """All key-value pairs of the header; strings in arrays stay bytes."""
    (count,) = struct.unpack_from("<Q", data, 16)
    at = 24
    fields: dict[str, Any] = {}
    for _ in range(count):
        key, at = _string(data, at)
        (kind,) = struct.unpack_from("<I", data, at)
        value, at = _value(data, at + 4, kind)
        fields[key.decode("utf-8")] = value
    return fields


def _string(data: mmap.mmap, at: int) -> tuple[bytes, int]:
    (length,) = struct.unpack_from("<Q", data, at)
    end = at + 8 + length
    if end > len(data):
        raise IndexError("string runs past the end of the file")
    return data[at + 8 : end], end


def _value(data: mmap.mmap, at: int, kind: int) -> tuple[Any, int]:
    if kind == _STRING:
        raw, at = _string(data, at)
        return raw.decode("utf-8", "replace"), at
    if kind != _ARRAY:
        (number,) = struct.unpack_from("<" + _NUMBERS[kind], data, at)
        return number, at + struct.calcsize("<" + _NUMBERS[kind])
    inner, length = struct.unpack_from("<IQ", data, at)
    at += 12
    if inner == _STRING:
        texts: list[bytes] = []
        for _ in range(length):
            text, at = _string(data, at)
            texts.append(text)
        return texts, at
    form = f"<{length}{_NUMBERS[inner]}"
    return list(struct.unpack_from(form, data, at)), at + struct.calcsize(form)
