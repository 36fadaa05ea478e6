"""The filters that templates may use; each counts its steps and the size of its result, see ``limits.py``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from typing import Any

from jinja2.exceptions import SecurityError
from jinja2.filters import FILTERS
from jinja2.utils import Namespace, htmlsafe_json_dumps
from markupsafe import escape

from mene.library.limits import current

# Left out of Jinja's filters: random ones, those that call by name, and those that enlarge text by a number.
KEPT = (
    "abs", "capitalize", "count", "d", "default", "dictsort", "first", "float", "int", "items", "last", "length", "list",
    "lower", "map", "max", "min", "reject", "rejectattr", "reverse", "select", "selectattr", "sort", "title", "trim",
    "truncate", "unique", "upper", "wordcount",
)  # fmt: skip
# Internal filters without names that a template can use: loops, lists and ~ are compiled to calls of these.
EACH, WHOLE, JOINED, COMPARED = "each step", "whole value", "joined text", "compared values"


def counted(filter_: Callable[..., Any]) -> Callable[..., Any]:
    """Return a filter or test that counts as a step and whose result must not be too large."""

    @wraps(filter_)  # keeps Jinja's own marks, e.g. that it needs the environment
    def counting(*args: Any, **kwargs: Any) -> Any:
        limits = current.get()
        limits.step()
        for one in (*args, *kwargs.values()):
            # The only value that can be changed without passing a filter.
            if isinstance(one, Namespace):
                limits.whole(one)
        return limits.whole(filter_(*args, **kwargs))

    return counting


def each(items: Iterable[Any]) -> Iterator[Any]:
    """Yield a loop's items, each counted as a step."""
    limits = current.get()
    for item in items:
        limits.step()
        yield item


def whole(value: Any) -> Any:
    """Return a new list, or a part of a text or list, unless it is too large."""
    return current.get().whole(value)


def compared(outcome: Any) -> Any:
    """Return a comparison's result, counted as a step."""
    current.get().step()
    return outcome


def joined(parts: Iterable[Any], between: str = "") -> str:
    """Return values concatenated as text."""
    limits = current.get()
    return together((str(limits.whole(part)) for part in parts), str(between))


def together(pieces: Iterable[str], between: str = "") -> str:
    """Return texts concatenated, unless the result is too large."""
    limits, size, found, more = current.get(), 0, [], len(between)
    for piece in pieces:
        size += len(piece) + more
        if size > limits.size:
            limits.need(size)
        found.append(piece)
    limits.spend(size)
    return between.join(found)


def is_in(value: Any, many: Any) -> bool:
    """Jinja's test ``in``, which compares the items of a list one by one: a step per thousand."""
    if isinstance(many, list | tuple | range):
        current.get().step(len(many) // 1000)
    return value in many


def _replace(text: Any, old: str, new: str, count: int = -1) -> str:
    text, old, new = str(text), str(old), str(new)
    foresee(text.replace, (old, new, -1 if count is None else count))
    return text.replace(old, new, -1 if count is None else count)


def foresee(method: Any, args: tuple[Any, ...]) -> None:
    """Refuse a ``replace`` or ``join`` with a too large result before it is computed."""
    limits, text = current.get(), method.__self__
    if (
        method.__name__ == "replace"
        and len(args) >= 2
        and all(isinstance(a, str) for a in args[:2])
    ):
        times = text.count(args[0])
        limits.need(len(text) + times * len(args[1]))
    elif method.__name__ == "join" and args and isinstance(args[0], list | tuple | dict):
        limits.whole(args[0])
        limits.need(len(args[0]) * len(text))
    elif method.__name__ == "join":
        raise SecurityError("join takes a list here; write `| list` or use the filter `| join`")


def _indent(text: str, width: int | str = 4, first: bool = False, blank: bool = False) -> str:
    margin = width if isinstance(width, str) else " " * min(width, 1000)
    lines = str(text).split("\n")
    return together(
        (
            (margin if (line or blank) and (place or first) else "") + line
            for place, line in enumerate(lines)
        ),
        "\n",
    )


def _round(value: float, precision: int = 0, method: str = "common") -> float:
    return FILTERS["round"](value, max(-20, min(20, precision)), method)


OWN: dict[str, Callable[..., Any]] = {
    "e": lambda value: str(escape(value)),
    "escape": lambda value: str(escape(value)),
    "indent": _indent,
    "join": joined,
    "replace": _replace,
    "round": _round,
    "safe": lambda value: value,
    "string": lambda value: str(whole(value)),
    "tojson": lambda value: str(htmlsafe_json_dumps(whole(value))),
}
