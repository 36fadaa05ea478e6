"""A row of a table as it stands there, before anybody says what its columns mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Raw(NamedTuple):
    """Column -> value; ``where`` is ``file, line 7``.

    Of a row with an ``error`` the values are what could be read of it, so that it keeps its id; None where nothing could.
    """

    where: str
    values: Mapping[str, Any] | None
    error: str | None = None
