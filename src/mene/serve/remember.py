"""Results that are kept, of calls with short texts alone: what clients send may be megabytes, and is theirs."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, ParamSpec, TypeVar

MOST = 1024  # results of one function
SHORT = 4096  # characters of all arguments

P = ParamSpec("P")
T = TypeVar("T")


def remembered(made: Callable[P, T]) -> Callable[P, T]:
    """``lru_cache`` for a function of texts; calls with more than ``SHORT`` characters are computed anew."""
    kept = lru_cache(MOST)(made)

    @wraps(made)
    def call(*args: P.args, **more: P.kwargs) -> T:
        size = sum(map(_size, args)) + sum(map(_size, more.values()))
        return (kept if size <= SHORT else made)(*args, **more)

    return call


def _size(value: Any) -> int:
    if isinstance(value, tuple):
        return sum(map(_size, value))
    # What is neither text nor made of texts is of the server's own: the control tokens of a model.
    return len(value) if isinstance(value, str) else 0
