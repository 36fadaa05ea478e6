"""The number format that OpenVINO computes in: float32, or one that is faster on some processors and rounds.

In ``float32``, probabilities are those of the weights, whatever is read beside a row. ``int8`` rounds what goes into each
product with packed weights to 8 bits, with a scale per 32 numbers; llama.cpp does so too (with K-quants, one per 256).
``bfloat16`` rounds weights, and what goes into each product with them and comes out of it, to 8 significant bits, and adds up in
float32; it is for processors with AMX, a matrix unit. Everything between the products is float32 in all of them, and so are the
logits. Rounding makes differences of the
seventh digit (from other rows in a batch, say) grow to the second digit. What each costs and saves: docs/engines.md.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from glob import escape
from pathlib import Path
from typing import Literal, cast, get_args

from mene.engines.cores import memory_size, processor_has, processor_says
from mene.errors import UsageError
from mene.weights.cache import cache_folder, free_space

Dtype = Literal["float32", "int8", "bfloat16"]
DTYPES: tuple[Dtype, ...] = get_args(Dtype)
# Size of a model file, in bytes, above which a format that rounds is the default: such a model needs the speed, and rounding
# moves it less.
LARGE = 500_000_000
# Memory, and free disk while the model is not prepared yet, that bfloat16 must have to be the default, in sizes of the model
# file: for one of 4 bits it takes 3.4 of memory, and as much again for pages that the system may take back; 6.4 of disk.
ROOM = 8
# Values of ONEDNN_MAX_CPU_ISA that hide what int8 needs; OpenVINO would look for it all the same, and fail.
_WITHOUT = ("SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_CORE")
# Those that hide AMX besides.
_WITHOUT_AMX = (
    *_WITHOUT,
    "AVX512_CORE_VNNI",
    "AVX512_CORE_BF16",
    "AVX10_1_512",
    "AVX512_CORE_FP16",
)


def has_vnni() -> bool:
    """Return whether this processor has the 8-bit products of AVX-512 (VNNI), and they are not hidden from oneDNN."""
    return processor_has("AVX512VNNI") and _largest_isa() not in _WITHOUT


def has_amx() -> bool:
    """Return whether this processor has a matrix unit for bfloat16 (AMX), and it is not hidden from oneDNN."""
    return processor_says("amx_bf16") and _largest_isa() not in _WITHOUT_AMX


def _largest_isa() -> str:
    # oneDNN still obeys its old name.
    named = os.environ.get("ONEDNN_MAX_CPU_ISA") or os.environ.get("DNNL_MAX_CPU_ISA", "")
    return named.upper()


# The formats that round, the fastest first: what each needs of the processor, and how to tell.
_ROUNDING: dict[Dtype, tuple[str, Callable[[], bool]]] = {
    "bfloat16": ("AMX", has_amx),
    "int8": ("AVX512-VNNI", has_vnni),
}


def rounding_dtypes() -> list[Dtype]:
    """Return the formats that round for which this processor has instructions, the fastest first."""
    return [dtype for dtype, (_, has) in _ROUNDING.items() if has()]


def dtype_in(identity: str) -> Dtype:
    """Return the number format in an identity of this engine (``files.facts_of``)."""
    kind = identity.removeprefix("openvino:").partition(":")[0]
    return cast("Dtype", kind) if kind in DTYPES else "float32"


def asked_dtype(asked: str | None) -> str | None:
    """Return the number format that the user asks for, by ``MENE_DTYPE`` or else in the preset; None: none."""
    return os.environ.get("MENE_DTYPE") or asked


def dtype_of(asked: str | None, path: Path, warn: Callable[[str], None]) -> Dtype:
    """Return the number format to compute in.

    Args:
        asked: by the preset; see ``asked_dtype``; None = for large files, the fastest that the processor has
            instructions for; else float32.
        path: the model.
        warn: called with one line where this processor cannot compute in the format that is asked for.

    Raises:
        UsageError: there is no such format in this engine.
    """
    wanted = asked_dtype(asked)
    if not wanted:
        size = path.stat().st_size if path.is_file() else 0
        made = any((cache_folder() / "openvino").glob(f"{escape(path.stem[:40])}-bfloat16-*"))
        return default_dtype(size, None if made else free_space(cache_folder()))
    if wanted not in DTYPES:
        where = "MENE_DTYPE" if os.environ.get("MENE_DTYPE") else "dtype"
        raise UsageError(
            f"{where}: OpenVINO does not compute in {wanted!r}; one of {', '.join(DTYPES)}"
        )
    dtype = cast("Dtype", wanted)
    if dtype in _ROUNDING and dtype not in rounding_dtypes():
        others = rounding_dtypes()
        hint = f"; MENE_DTYPE={others[0]} is faster here" if others else ""
        warn(
            f"this processor has no {_ROUNDING[dtype][0]}: computing in float32 instead of {dtype}{hint}"
        )
        return "float32"
    return dtype


def default_dtype(size: int, disk: int | None = None) -> Dtype:
    """Return the number format for a model that nobody asked one for.

    Args:
        size: of its file in bytes, 0 if unknown.
        disk: free bytes where it is to be prepared; None where it is prepared already.
    """
    if size <= LARGE:
        return "float32"
    room = all(has is None or has >= ROOM * size for has in (memory_size(), disk))
    fit: list[Dtype] = [dtype for dtype in rounding_dtypes() if room or dtype != "bfloat16"]
    return fit[0] if fit else "float32"
