"""Converting other libraries' values to plain Python objects."""

from __future__ import annotations

import dataclasses
import decimal
import enum
import math
from typing import Any

from mene.errors import SampleError


def plain(value: Any) -> Any:
    """Return the value as a plain Python object (outer level only): NumPy, pandas, dates, enums, models, dataclasses.

    Missing values (NaN, NaT, NA) become None: tables have them where JSON has null.
    """
    if type(value) in (str, int, bool, dict, list, type(None)):
        return value
    if isinstance(value, enum.Enum):
        return plain(value.value)
    if type(value).__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(value, float):
        return None if math.isnan(value) else float(value)
    if isinstance(value, decimal.Decimal):
        return None if value.is_nan() else value
    if isinstance(value, str):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    for name in ("model_dump", "_asdict", "to_dict", "tolist", "to_list"):
        method = getattr(value, name, None)
        if callable(method) and not isinstance(value, type):
            if type(value).__name__ in ("float16", "float32"):  # 0.1, not 0.10000000149
                return plain(float(str(value)))
            try:
                found = method()
            except Exception as error:
                raise SampleError(f"a {type(value).__name__} cannot be read: {error}") from None
            return found if isinstance(found, dict | list | int | str) else plain(found)
    return value
