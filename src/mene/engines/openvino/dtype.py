"""The number format that OpenVINO computes in: float32, or int8, which is faster on some processors and rounds.

``float32`` is the default: probabilities are those of the weights, whatever is read beside a row. ``int8`` rounds what goes into
each product with the weights to 8 bits, with a scale per 32 numbers. Rounding makes differences of the seventh digit (from
other rows in a batch, say) grow to the second digit. What it costs and saves, and why there is no bfloat16:
docs/research/speed.md.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Literal, get_args

from mene.engines.cores import processor_has
from mene.errors import UsageError

Dtype = Literal["float32", "int8"]
DTYPES: tuple[Dtype, ...] = get_args(Dtype)
# What int8 needs, by NumPy's name. Without it, OpenVINO computes in float32.
VNNI = "AVX512VNNI"


def dtype_of(asked: str | None, warn: Callable[[str], None]) -> Dtype:
    """Return the number format to compute in.

    Args:
        asked: by the preset; ``MENE_DTYPE`` goes before it; None = float32.
        warn: called with one line where this processor cannot compute in the format that is asked for.

    Raises:
        UsageError: there is no such format in this engine.
    """
    forced = os.environ.get("MENE_DTYPE")
    for dtype in DTYPES:
        if dtype == (forced or asked or "float32"):
            break
    else:
        where = "MENE_DTYPE" if forced else "dtype"
        raise UsageError(
            f"{where}: OpenVINO does not compute in {forced or asked!r}; one of {', '.join(DTYPES)}"
        )
    if dtype == "int8" and not processor_has(VNNI):
        warn("this processor has no AVX512-VNNI: computing in float32 instead of int8")
        return "float32"
    return dtype
