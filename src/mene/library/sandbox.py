"""Where template files run: Jinja that sees text and numbers, reaches nothing else, and comes to an end.

A template file comes with a judge's folder or from a forum; it must not be able to do more than write a prompt. Jinja's
sandbox hides Python's insides and forbids changes. Here we add what it leaves open: filters and methods are
those of a list, every loop, call, test and operator is a step of which there are so many and no more, and no value, nor all of
them together, gets larger than ``Limits`` allow. An operation on values of bounded size takes a bounded time, so no
clock has to interrupt one; and what there is to compile is bounded too (``CODE``).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from types import BuiltinMethodType
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.exceptions import SecurityError
from jinja2.filters import FILTERS
from jinja2.runtime import LoopContext, Macro, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace, htmlsafe_json_dumps
from markupsafe import escape

CODE = 50_000  # characters of a template's tags and expressions: 1 to 3 seconds to compile, which nothing can break off
STEPS = 200_000  # loops, calls, filters and operators of one prompt
SECONDS = 5.0
SIZE = 2_000_000  # characters of one value, beside what the texts of the sample have
TOTAL = 100_000_000  # characters of all values that are looked at or made, beside 16 times those of the texts
ITEM = 20  # an item of a list counts as so many
BITS = 1024  # of a whole number
# What Jinja has and is left out: it is drawn by chance, calls by name, or grows text by a number.
KEPT = (
    "abs", "capitalize", "count", "d", "default", "dictsort", "first", "float", "int", "items", "last", "length", "list",
    "lower", "map", "max", "min", "reject", "rejectattr", "reverse", "select", "selectattr", "sort", "title", "trim",
    "truncate", "unique", "upper", "wordcount",
)  # fmt: skip
METHODS = (
    "capitalize", "casefold", "count", "endswith", "find", "get", "index", "isalnum", "isalpha", "isdecimal", "isdigit",
    "islower", "isnumeric", "isspace", "istitle", "isupper", "items", "join", "keys", "lower", "lstrip", "partition",
    "removeprefix", "removesuffix", "replace", "rfind", "rindex", "rpartition", "rsplit", "rstrip", "split",
    "splitlines", "startswith", "strip", "swapcase", "title", "upper", "values",
)  # fmt: skip
REFUSED = {
    nodes.Include: "include", nodes.Import: "import", nodes.FromImport: "import", nodes.Extends: "extends",
    nodes.ScopedEvalContextModifier: "autoescape",
}  # fmt: skip
# Filters that no template can name: what the loops, lists and ~ of one are turned into.
EACH, WHOLE, JOINED, COMPARED = "each step", "whole value", "joined text", "compared values"


class TooMuch(Exception):
    """A template that takes more steps or room than a prompt can need."""


class TooSlow(TooMuch):
    """One that takes so long that no further row should wait for it."""


class Limits:
    """What one rendering may still use. ``room``: characters that its texts have."""

    def __init__(self, room: int = 0) -> None:
        self.steps, self.size = STEPS, SIZE + 8 * room
        self.total = TOTAL + 16 * room
        self.end = time.monotonic() + SECONDS

    def step(self, steps: int = 1) -> None:
        """Count a step, or what takes as long as several."""
        self.steps -= steps
        if self.steps < 0:
            raise TooMuch(f"more than {STEPS:,} steps: loops or calls without end?")
        if not self.steps & 31 and time.monotonic() > self.end:  # no step takes long
            raise TooSlow(f"not done after {SECONDS:.0f} seconds")

    def need(self, size: int) -> None:
        """Refuse what would have more than so many characters."""
        if size > self.size:
            raise TooMuch(f"a text or list of more than {self.size:,} characters")

    def spend(self, size: int) -> None:
        """Count characters of which there may be so many in all: variables keep what they are set to."""
        self.total -= size
        if self.total < 0:
            raise TooMuch("texts and lists that are too large together")

    def whole(self, value: Any) -> Any:
        """The value, if it is not too large written out: what is in it twice counts twice."""
        if type(value) is str:  # most are, a hundred times a row
            size = ITEM + len(value)
            self.total -= size
            if size > self.size or self.total < 0:
                self.need(size)
                self.spend(0)
            return value
        waiting, size = [value], 0
        while waiting:
            one = waiting.pop()
            size += ITEM
            if isinstance(one, str):
                size += len(one)
            elif isinstance(one, int) and one.bit_length() > BITS:
                raise TooMuch(f"a whole number of more than {BITS} bits")
            elif isinstance(one, dict):
                waiting += [*one, *one.values()]
            elif isinstance(one, list | tuple | set | type({}.items()) | type({}.values())):
                waiting += one
            elif isinstance(one, Namespace):
                waiting += object.__getattribute__(one, "_Namespace__attrs").values()
            self.need(size + len(waiting) * ITEM)
        self.spend(size)
        return value


_limits: ContextVar[Limits] = ContextVar("limits")


@contextmanager
def limited(room: int = 0) -> Iterator[None]:
    """Compile or render within this."""
    token = _limits.set(Limits(room))
    try:
        yield
    finally:
        _limits.reset(token)


class Sandbox(ImmutableSandboxedEnvironment):
    """The environment of all templates. Compile and render inside ``limited``.

    Args:
        filters: more of them, by name.
    """

    intercepted_binops = frozenset(("+", "-", "*", "/", "//", "%", "**"))

    def __init__(self, **filters: Callable[..., Any]) -> None:
        super().__init__(
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            finalize=lambda value: _limits.get().whole(value),
            cache_size=0,
        )
        self.globals = {name: self.globals[name] for name in ("range", "dict", "namespace")}
        own = {**OWN, **{name: FILTERS[name] for name in KEPT}, **filters}
        self.filters = {name: _counted(filter_) for name, filter_ in own.items()}
        self.filters |= {EACH: _each, WHOLE: _whole, JOINED: _joined, COMPARED: _compared}
        self.tests = {name: _counted(test) for name, test in {**self.tests, "in": _in}.items()}

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        code = 0
        for _, kind, text in self.lexer.tokeniter(source, name, filename):
            code += 0 if kind in ("data", "comment") else len(text)
            if code > CODE:
                raise TooMuch(f"more than {CODE:,} characters between its braces")
        tree = super()._parse(source, name, filename)
        for node in tree.find_all(tuple(REFUSED)):
            raise jinja2.TemplateSyntaxError(
                f"{REFUSED[type(node)]} is not for templates of mene, which are one file each",
                node.lineno,
            )
        _guard(tree)
        return tree

    def concat(self, pieces: Iterable[str]) -> str:  # type: ignore[override]
        """Join what a template, a macro or a ``set`` block wrote."""
        return _together(pieces)

    def call(__self, __context: Any, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        limits = _limits.get()
        limits.step()
        if isinstance(__obj, LoopContext):  # {% for … recursive %}
            args = (_each(args[0]), *args[1:]) if args else args
        elif isinstance(__obj, BuiltinMethodType) and isinstance(
            __obj.__self__, str | dict | list | tuple
        ):
            if __obj.__name__ not in METHODS:
                raise SecurityError(f"the method {__obj.__name__} is not for templates")
            _foresee(__obj, args)
        elif not isinstance(__obj, Macro | Undefined) and not (
            _is_loops_own(__obj) or any(__obj is one for one in __self.globals.values())
        ):
            raise SecurityError("this is nothing that a template can call")
        return limits.whole(super().call(__context, __obj, *args, **kwargs))

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        limits = _limits.get()
        limits.step()
        for one in (left, right):
            limits.whole(one)
        if operator == "*":
            for many, times in ((left, right), (right, left)):
                if isinstance(many, str | list | tuple) and isinstance(times, int):
                    limits.need(len(many) * times * (1 if isinstance(many, str) else ITEM))
        elif operator == "**" and isinstance(left, int) and isinstance(right, int):
            if left.bit_length() * abs(right) > BITS:
                raise TooMuch(f"a whole number of more than {BITS} bits")
        elif operator == "%" and isinstance(left, str):
            raise SecurityError("% formats no text in a template; join it with ~")
        return limits.whole(super().call_binop(context, operator, left, right))


def plain_jinja(**filters: Callable[..., Any]) -> jinja2.Environment:
    """For templates that come with mene, the same without a guard: counting takes most of the time of a row.

    Args:
        filters: as of ``Sandbox``.
    """
    jinja = jinja2.Environment(
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, cache_size=0
    )
    jinja.filters.update(filters)
    return jinja


def _is_loops_own(value: Any) -> bool:
    """``loop.cycle`` and ``loop.changed``."""
    return isinstance(getattr(value, "__self__", None), LoopContext)


def _guard(tree: nodes.Node) -> None:
    """Send every loop, list, part, comparison and ~ through a filter that counts."""
    for field, value in tree.iter_fields():
        for place, node in enumerate(value if isinstance(value, list) else [value]):
            if not isinstance(node, nodes.Node):
                continue
            _guard(node)
            new: nodes.Node = node
            if isinstance(node, nodes.Concat):
                new = _through(JOINED, nodes.List(node.nodes, lineno=node.lineno))
            elif _is_new(node):
                new = _through(WHOLE, node)
            elif isinstance(node, nodes.Compare):
                new = _through(COMPARED, node)
            if isinstance(tree, nodes.For) and field == "iter":
                new = _through(EACH, new)
            if isinstance(value, list):
                value[place] = new
            else:
                setattr(tree, field, new)


def _is_new(node: nodes.Node) -> bool:
    """Does it make a list, or part of a text or list?"""
    if isinstance(node, nodes.Getitem):
        return isinstance(node.arg, nodes.Slice)
    return isinstance(node, nodes.List | nodes.Dict | nodes.Tuple) and not _is_target(node)


def _is_target(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Tuple) and node.ctx != "load"  # for label, text in …


def _through(name: str, node: nodes.Node) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


def _counted(filter_: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(filter_)  # keeps what Jinja wrote on it: that it wants the environment, too
    def counted(*args: Any, **kwargs: Any) -> Any:
        limits = _limits.get()
        limits.step()
        for one in (*args, *kwargs.values()):
            if isinstance(one, Namespace):  # the one thing that can be filled behind our back
                limits.whole(one)
        return limits.whole(filter_(*args, **kwargs))

    return counted


def _each(items: Iterable[Any]) -> Iterator[Any]:
    limits = _limits.get()
    for item in items:
        limits.step()
        yield item


def _whole(value: Any) -> Any:
    return _limits.get().whole(value)


def _compared(outcome: Any) -> Any:
    _limits.get().step()
    return outcome


def _in(value: Any, many: Any) -> bool:
    """Jinja's test ``in``, which looks at the items of a list one by one: a thousand are a step more."""
    if isinstance(many, list | tuple | range):
        _limits.get().step(len(many) // 1000)
    return value in many


def _together(pieces: Iterable[str], between: str = "") -> str:
    limits, size, found, more = _limits.get(), 0, [], len(between)
    for piece in pieces:
        size += len(piece) + more
        if size > limits.size:
            limits.need(size)
        found.append(piece)
    limits.spend(size)
    return between.join(found)


def _joined(parts: Iterable[Any], between: str = "") -> str:
    limits = _limits.get()
    return _together((str(limits.whole(part)) for part in parts), str(between))


def _replace(text: Any, old: str, new: str, count: int = -1) -> str:
    text, old, new = str(text), str(old), str(new)
    _foresee(text.replace, (old, new, -1 if count is None else count))
    return text.replace(old, new, -1 if count is None else count)


def _indent(text: str, width: int | str = 4, first: bool = False, blank: bool = False) -> str:
    margin = width if isinstance(width, str) else " " * min(width, 1000)
    lines = str(text).split("\n")
    return _together(
        (
            (margin if (line or blank) and (place or first) else "") + line
            for place, line in enumerate(lines)
        ),
        "\n",
    )


def _round(value: float, precision: int = 0, method: str = "common") -> float:
    return FILTERS["round"](value, max(-20, min(20, precision)), method)


def _foresee(method: Any, args: tuple[Any, ...]) -> None:
    """Refuse a ``replace`` or ``join`` whose outcome would be too large, before it is made."""
    limits, text = _limits.get(), method.__self__
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


OWN: dict[str, Callable[..., Any]] = {
    "e": lambda value: str(escape(value)),
    "escape": lambda value: str(escape(value)),
    "indent": _indent,
    "join": _joined,
    "replace": _replace,
    "round": _round,
    "safe": lambda value: value,
    "string": lambda value: str(_whole(value)),
    "tojson": lambda value: str(htmlsafe_json_dumps(_whole(value))),
}


def line_of(error: BaseException, body: jinja2.Template) -> int | None:
    """The line of a template in which an error arose; None: not known."""
    found, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_globals is body.root_render_func.__globals__:  # type: ignore[attr-defined]
            found = body.get_corresponding_lineno(trace.tb_lineno)
        trace = trace.tb_next
    return found


def reason_of(error: BaseException) -> str:
    """What went wrong, in a few words."""
    if isinstance(error, RecursionError):
        return "it calls itself too deeply"
    if isinstance(error, MemoryError):
        return "it needs more memory than there is"
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
