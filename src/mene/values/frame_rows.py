"""The rows of a polars frame as dicts, whatever their types."""

from __future__ import annotations

from typing import Any

DAY = 86_400  # seconds
# Python's first and last second since 1970, and its longest duration in days.
FIRST, LAST, DAYS = -62_135_596_800, 253_402_300_799, 999_999_999
UNITS = {"ms": 1000, "us": 1_000_000}


class TimeOutOfRange:
    """Stands for a date or duration beyond Python's range. As a field of a sample it is an error."""


def as_written(frame: Any) -> Any:
    """Return a frame (lazy or not) with 32-bit floats as they print: 0.1, not 0.10000000149."""
    import polars

    columns = []
    for name, kind in frame.collect_schema().items():
        if (text := _float32_as(kind, polars.String)) != kind:
            number = _float32_as(kind, polars.Float64)
            columns.append(polars.col(name).cast(text).cast(number))
    return frame.with_columns(columns)


def dicts(frame: Any) -> list[dict[str, Any]]:
    """Return the rows of a frame. A date beyond Python's range affects only its own value."""
    columns = [_values(column) for column in as_written(frame)]
    return [dict(zip(frame.columns, row, strict=True)) for row in zip(*columns, strict=True)]


def _values(column: Any) -> list[Any]:
    from polars.exceptions import PanicException

    odd: set[int] = set()
    if bounds := _bounds(column.dtype):
        odd.update((~column.to_physical().is_between(*bounds)).arg_true())
    try:
        if not odd:
            return column.to_list()
        return [TimeOutOfRange() if n in odd else column[n] for n in range(len(column))]
    except (ValueError, OverflowError, PanicException):  # a date inside a list
        if len(column) == 1:
            return [TimeOutOfRange()]
        return [value for n in range(len(column)) for value in _values(column.slice(n, 1))]


def _float32_as(kind: Any, other: Any) -> Any:
    """Return the type with Float32 replaced, at any depth."""
    import polars

    if isinstance(kind, polars.List):
        return polars.List(_float32_as(kind.inner, other))
    if isinstance(kind, polars.Array):
        return polars.Array(_float32_as(kind.inner, other), kind.size)
    if isinstance(kind, polars.Struct):
        return polars.Struct({f.name: _float32_as(f.dtype, other) for f in kind.fields})
    return other if kind == polars.Float32 else kind


def _bounds(kind: Any) -> tuple[int, int] | None:
    """Return the column's smallest and largest value that Python can hold, in its units; None: no limit."""
    import polars

    if kind == polars.Date:
        return FIRST // DAY, LAST // DAY
    if isinstance(kind, polars.Duration) and kind.time_unit == "ms":
        return -DAYS * DAY * 1000, DAYS * DAY * 1000
    if isinstance(kind, polars.Datetime) and kind.time_unit != "ns":
        unit = UNITS[kind.time_unit]
        aside = DAY if kind.time_zone else 0  # a time zone shifts by some hours
        return (FIRST + aside) * unit, (LAST + 1 - aside) * unit - 1
    return None
