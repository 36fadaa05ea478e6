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
# What int8 needs, by NumPy's name. Without it, OpenVINO computes in float32.
VNNI = "AVX512VNNI"


def dtype_of(asked: str | None, path: Path, warn: Callable[[str], None]) -> Dtype:
    """Return the number format to compute in.

    Args:
        asked: by the preset; ``MENE_DTYPE`` goes before it; None = int8 for large files where the processor has the
            instructions, else float32.
        path: the model.
        warn: called with one line where this processor cannot compute in the format that is asked for.

    Raises:
        UsageError: there is no such format in this engine.
    """
    forced = os.environ.get("MENE_DTYPE")
    wanted = forced or asked
    if not wanted:
        large = path.is_file() and path.stat().st_size > LARGE
        return "int8" if large and processor_has(VNNI) else "float32"
    if wanted not in DTYPES:
        where = "MENE_DTYPE" if forced else "dtype"
        raise UsageError(
            f"{where}: OpenVINO does not compute in {wanted!r}; one of {', '.join(DTYPES)}"
        )
    if wanted == "int8" and not processor_has(VNNI):
        warn("this processor has no AVX512-VNNI: computing in float32 instead of int8")
        return "float32"
    return cast("Dtype", wanted)
