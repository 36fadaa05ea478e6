"""How long to wait before a retry."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

# A server that asks for a longer pause than this (seconds) is asked again earlier …
LONGEST_PAUSE = 120.0
# … unless it asks for so long a pause that nobody waits for it.
PATIENCE = 600.0


def pause(tried: int, headers: Mapping[str, str], backoff_s: float) -> float:
    """Return the seconds until the next try: from ``Retry-After``, in any of its forms, else exponential backoff."""
    asked = wanted(headers)
    jitter = random.uniform(0.75, 1.0) * backoff_s
    if asked is None:
        return min(jitter * 2 ** min(tried, 32), LONGEST_PAUSE)
    return min(asked, LONGEST_PAUSE) + jitter


def wanted(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a server asks to wait; None where it does not say."""
    exact = _seconds((headers.get("retry-after-ms") or "").strip())
    if exact is not None:
        return exact / 1000
    return _seconds((headers.get("retry-after") or "").strip())


def _seconds(asked: str) -> float | None:
    if re.fullmatch(r"\d{1,12}(\.\d{1,12})?", asked):
        return float(asked)
    if asked.isdecimal():
        return float("inf")
    try:
        return max(parsedate_to_datetime(asked).timestamp() - time.time(), 0.0)
    except (ValueError, OverflowError, TypeError):
        return None
