"""The number format that OpenVINO computes in: float32, or int8, which is faster on some processors and rounds.

In ``float32``, probabilities are those of the weights, whatever is read beside a row. ``int8`` rounds what goes into each
product with packed weights to 8 bits, with a scale per 32 numbers; llama.cpp does so too (with K-quants, one per 256).
Rounding makes differences of the seventh digit (from other rows in a batch, say) grow to the second digit. What it costs and
saves: docs/engines.md; why there is no bfloat16: docs/research/engines.md.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal, cast, get_args

from mene.engines.cores import processor_has
from mene.errors import UsageError

Dtype = Literal["float32", "int8"]
DTYPES: tuple[Dtype, ...] = get_args(Dtype)
# Size of a model file, in bytes, above which int8 is the default: such a model needs the speed, and rounding moves it less.
LARGE = 500_000_000
# Values of ONEDNN_MAX_CPU_ISA that hide what int8 needs; OpenVINO would look for it all the same, and fail.
_WITHOUT = ("SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_CORE")


def has_vnni() -> bool:
    """Return whether this processor has the 8-bit products of AVX-512 (VNNI), and they are not hidden from oneDNN."""
    hidden = os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper() in _WITHOUT
    return processor_has("AVX512VNNI") and not hidden


def dtype_in(identity: str) -> Dtype:
    """Return the number format in an identity of this engine (``files.facts_of``)."""
    return "int8" if identity.startswith("openvino:int8:") else "float32"


def asked_dtype(asked: str | None) -> str | None:
    """Return the number format that the user asks for, by ``MENE_DTYPE`` or else in the preset; None: none."""
    return os.environ.get("MENE_DTYPE") or asked


def dtype_of(asked: str | None, path: Path, warn: Callable[[str], None]) -> Dtype:
    """Return the number format to compute in.

    Args:
        asked: by the preset; see ``asked_dtype``; None = int8 for large files where the processor has the
            instructions, else float32.
        path: the model.
        warn: called with one line where this processor cannot compute in the format that is asked for.

    Raises:
        UsageError: there is no such format in this engine.
    """
    wanted = asked_dtype(asked)
    if not wanted:
        large = path.is_file() and path.stat().st_size > LARGE
        return "int8" if large and has_vnni() else "float32"
    if wanted not in DTYPES:
        where = "MENE_DTYPE" if os.environ.get("MENE_DTYPE") else "dtype"
        raise UsageError(
            f"{where}: OpenVINO does not compute in {wanted!r}; one of {', '.join(DTYPES)}"
        )
    if wanted == "int8" and not has_vnni():
        warn("this processor has no AVX512-VNNI: computing in float32 instead of int8")
        return "float32"
    return cast("Dtype", wanted)
