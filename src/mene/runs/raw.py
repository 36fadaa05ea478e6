"""A row of a table as it stands there, before anybody says what its columns mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Raw(NamedTuple):
    """Column -> value, or what is wrong with the row; ``where`` is ``file, line 7``."""

    where: str
    values: Mapping[str, Any] | None
    error: str | None = None
