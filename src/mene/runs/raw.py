"""A row of a table as it was read, before its columns are interpreted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Raw(NamedTuple):
    """Column -> value; ``where`` is ``file, line 7``.

    With an ``error``, the values are those that could still be read, so that the row keeps its id; None where there are none.
    """

    where: str
    values: Mapping[str, Any] | None
    error: str | None = None
