"""A cache for calls with short texts only: clients may send megabytes, which should not stay in memory."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, ParamSpec, TypeVar

MOST = 1024  # results of one function
SHORT = 4096  # characters of all arguments

P = ParamSpec("P")
T = TypeVar("T")


def remembered(made: Callable[P, T]) -> Callable[P, T]:
    """Return the function with an ``lru_cache``; calls with more than ``SHORT`` characters are not cached."""
    kept = lru_cache(MOST)(made)

    @wraps(made)
    def call(*args: P.args, **more: P.kwargs) -> T:
        size = sum(map(_size, args)) + sum(map(_size, more.values()))
        return (kept if size <= SHORT else made)(*args, **more)

    return call


def _size(value: Any) -> int:
    if isinstance(value, tuple):
        return sum(map(_size, value))
    # Other values are not from clients: they are the server's own, such as a model's control tokens.
    return len(value) if isinstance(value, str) else 0
