"""From words to numbers: gold labels, verdict labels and probabilities as arrays on one scale.

The one place that decides what counts as the same label and what is off the scale.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from mene.scale import Scale

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Probabilities = Sequence[Mapping[str, float] | None] | npt.NDArray[np.float64]


def label_codes(values: Sequence[object], scale: Scale) -> Ints:
    """Position of each value on the scale, -1 where it is none of its labels."""
    seen: dict[tuple[type, object], int] = {}
    place = {label: i for i, label in enumerate(scale.labels)}
    codes = np.empty(len(values), np.int64)
    for row, value in enumerate(values):
        key = (type(value), value)  # the type too, because True == 1
        if key not in seen:
            match = None if value is None else scale.match(value)
            seen[key] = -1 if match is None else place[match]
        codes[row] = seen[key]
    return codes


def gold_codes(values: Sequence[object], scale: Scale) -> tuple[Ints, Floats]:
    """Position of each gold label (-1: off the scale) and its number.

    On an ordinal scale a number between two labels takes the nearest one, the lower of two.
    """
    codes = label_codes(values, scale)
    numbers = np.array(scale.values)
    truth = numbers[np.maximum(codes, 0)]
    if scale.kind == "ordinal":
        for row in np.flatnonzero(codes < 0).tolist():
            number = as_number(values[row])
            if number is not None and numbers[0] <= number <= numbers[-1]:
                codes[row] = int(np.abs(numbers - number).argmin())
                truth[row] = number
    return codes, truth


def as_number(value: object) -> float | None:
    """A finite number, or text that is one; None for all else, booleans too."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def probability_rows(given: Probabilities | None, scale: Scale, rows: int) -> Floats:
    """Probabilities as (rows, labels). NaN in rows that have none, or none that sum to 1."""
    table = np.full((rows, len(scale.labels)), np.nan)
    if isinstance(given, np.ndarray):
        if given.shape != table.shape:
            raise ValueError(f"probabilities must be of shape {table.shape}, not {given.shape}")
        table[:] = given
    elif given is not None:
        for row, one in enumerate(given):
            if one is not None:
                table[row] = [one.get(label, 0.0) for label in scale.labels]
    fine: npt.NDArray[np.bool_] = (np.isfinite(table) & (table >= 0) & (table <= 1.01)).all(axis=1)
    sums = np.where(fine[:, None], table, 0).sum(axis=1)
    fine = fine & (np.abs(sums - 1) < 0.01)
    table[~fine] = np.nan
    table[fine] /= sums[fine][:, None]
    return table
