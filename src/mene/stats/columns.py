"""From labels to numbers: gold labels, verdict labels and probabilities as arrays on one scale.

Only this file decides which labels are the same, and which are off the scale.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mene.scale import Kind, Scale
from mene.stats.golds import matched, settled

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Probabilities = Sequence[Mapping[str, float] | None] | npt.NDArray[np.float64]


def label_codes(values: Sequence[object], scale: Scale) -> Ints:
    """Return the position of each value on the scale, -1 where it is not a label."""
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
    """Return the position of each gold label (-1: off the scale) and its number.

    On an ordinal scale, a number between two labels takes the nearest one, halfway the lower one. On a scale like Yes and No,
    1 and 0 are understood.
    """
    codes = label_codes(values, scale)
    if scale.is_binary:  # 1 and 0 for Yes and No
        for row in np.flatnonzero(codes < 0).tolist():
            meant = matched(values[row], scale)
            codes[row] = -1 if meant is None else scale.labels.index(meant)
    numbers = np.array(scale.values)
    truth = numbers[np.maximum(codes, 0)]
    if scale.kind == "ordinal":
        for row in np.flatnonzero(codes < 0).tolist():
            number = as_number(values[row])
            if number is not None and numbers[0] <= number <= numbers[-1]:
                codes[row] = int(np.abs(numbers - number).argmin())
                truth[row] = number
    return codes, truth


def label_counts(codes: Ints, scale: Scale | None) -> dict[str, int]:
    """Return the number of rows per label, in the order of the scale; ``codes`` as from ``label_codes``."""
    if scale is None:
        return {}
    counts = np.bincount(codes[codes >= 0], minlength=len(scale.labels))
    return {label: int(n) for label, n in zip(scale.labels, counts, strict=True)}


def finite_mean(values: Floats) -> float | None:
    """Return the mean of the finite values; None where there are none."""
    values = values[np.isfinite(values)]
    return float(values.mean()) if values.size else None


def as_number(value: object) -> float | None:
    """Return a finite number, also from text; None for anything else, including booleans."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def probability_rows(given: Probabilities | None, scale: Scale, rows: int) -> Floats:
    """Return probabilities as (rows, labels). NaN in rows without any, or whose sum is not 1."""
    table = np.full((rows, len(scale.labels)), np.nan)
    if isinstance(given, np.ndarray):
        if given.shape != table.shape:
            raise ValueError(f"probabilities must be of shape {table.shape}, not {given.shape}")
        table[:] = given
    elif given is not None:
        for row, one in enumerate(given):
            if one is not None:
                table[row] = [one.get(label, 0.0) for label in scale.labels]
    fine = np.all(np.isfinite(table) & (table >= 0) & (table <= 1.01), axis=1)
    sums = np.where(fine[:, None], table, 0).sum(axis=1)
    fine = fine & (np.abs(sums - 1) < 0.01)
    table[~fine] = np.nan
    table[fine] /= sums[fine][:, None]
    return table


def guess_scale(named: Iterable[str], seen: Iterable[str], golds: Iterable[Any]) -> Scale | None:
    """Return the likely scale of verdicts that do not store one.

    Args:
        named: keys of the probabilities, in order: the whole scale, if there are any.
        seen: labels given; used with ``golds`` where there are no probabilities.
        golds: gold labels, possibly with some from other scales.
    """
    labels = list(dict.fromkeys(named))
    whole = bool(labels)
    labels += [label for label in dict.fromkeys(seen) if label not in labels]
    labels, golds = settled(labels, golds)
    numbers = {label: as_number(label) for label in labels}
    if labels and None not in numbers.values():
        by_value = {n: label for label, n in numbers.items() if n is not None}
        if not whole:  # labels 2 and 4 imply a 3 between them
            gold = [n for n in map(as_number, golds) if n is not None]
            ends = [*by_value, *gold]
            low, high = int(np.floor(min(ends))), int(np.ceil(max(ends)))
            if all(n == int(n) for n in by_value) and high - low <= 10:
                by_value = {float(n): by_value.get(n, str(n)) for n in range(low, high + 1)}
        if len(by_value) < 2:
            by_value[max(by_value) + 1] = f"{max(by_value) + 1:g}"
        return _scale("ordinal", [by_value[n] for n in sorted(by_value)])
    if not whole:
        folded = {label.casefold() for label in labels}
        for gold in golds:
            text = str(gold)
            said = gold if isinstance(gold, str) else ""
            if isinstance(gold, bool) and folded & {"true", "false"}:  # as a table has these labels
                said = text
            elif text.casefold() in ("true", "false") and len(labels) > 1:  # as it has Yes and No
                said = said if _scale("nominal", labels).match(gold) is None else ""
            if said and said.casefold() not in folded:
                labels.append(text)
                folded.add(text.casefold())
    if not labels:
        return None
    if set(labels) <= {"A", "B", "tie"}:
        return Scale.pairwise(ties="tie" in labels)
    return _scale("nominal", labels if len(labels) > 1 else [*labels, f"not {labels[0]}"])


def _scale(kind: Kind, labels: list[str]) -> Scale:
    # Verdicts of one file may use two scales; they are shown as they are, so the requirements on a
    # new scale are not checked here.
    return Scale.model_construct(kind=kind, labels=tuple(labels))
