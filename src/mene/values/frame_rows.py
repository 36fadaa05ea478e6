"""The rows of a polars frame as dicts, whatever their values are."""

from __future__ import annotations

from typing import Any

DAY = 86_400  # seconds
# The first and the last second, since 1970, and the most days of a duration that Python has.
FIRST, LAST, DAYS = -62_135_596_800, 253_402_300_799, 999_999_999
UNITS = {"ms": 1000, "us": 1_000_000}


class TimeOutOfRange:
    """Stands for a date or duration that Python has no value for. As a field of a sample it is an error."""


def as_written(frame: Any) -> Any:
    """A frame (lazy or not) whose 32-bit numbers are what they are written as: 0.1, and not 0.10000000149."""
    import polars

    columns = []
    for name, kind in frame.collect_schema().items():
        if (text := _float32_as(kind, polars.String)) != kind:
            number = _float32_as(kind, polars.Float64)
            columns.append(polars.col(name).cast(text).cast(number))
    return frame.with_columns(columns)


def dicts(frame: Any) -> list[dict[str, Any]]:
    """The rows of a frame. A date out of Python's range costs no more than its own value."""
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
    """The same type with another one in place of Float32, at any depth."""
    import polars

    if isinstance(kind, polars.List):
        return polars.List(_float32_as(kind.inner, other))
    if isinstance(kind, polars.Array):
        return polars.Array(_float32_as(kind.inner, other), kind.size)
    if isinstance(kind, polars.Struct):
        return polars.Struct({f.name: _float32_as(f.dtype, other) for f in kind.fields})
    return other if kind == polars.Float32 else kind


def _bounds(kind: Any) -> tuple[int, int] | None:
    """The least and the most that Python can hold, in units of the column; None: all of it."""
    import polars

    if kind == polars.Date:
        return FIRST // DAY, LAST // DAY
    if isinstance(kind, polars.Duration) and kind.time_unit == "ms":
        return -DAYS * DAY * 1000, DAYS * DAY * 1000
    if isinstance(kind, polars.Datetime) and kind.time_unit != "ns":
        unit = UNITS[kind.time_unit]
        aside = DAY if kind.time_zone else 0  # a zone moves it by some hours
        return (FIRST + aside) * unit, (LAST + 1 - aside) * unit - 1
    return None
