"""The sandbox of template files: Jinja that sees only text and numbers and always terminates.

A template file comes with a judge's folder or from a stranger; it must only be able to write a prompt. Jinja's sandbox hides
Python's internals and forbids changes. This file closes the remaining gaps: filters and methods come from a fixed list, every
loop, call, test and operator counts as a step, and steps and sizes of values, each and in total, are limited (``Limits``). The
size of the code to compile is limited too (``CODE``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import BuiltinMethodType
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.exceptions import SecurityError
from jinja2.filters import FILTERS
from jinja2.runtime import LoopContext, Macro, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from mene.library.filters import (
    COMPARED,
    EACH,
    JOINED,
    KEPT,
    OWN,
    WHOLE,
    compared,
    counted,
    each,
    foresee,
    is_in,
    joined,
    together,
    whole,
)
from mene.library.limits import BITS, ITEM, TooMuch, current

# Characters of a template's tags and expressions: 1 to 3 seconds to compile, which cannot be interrupted.
CODE = 50_000
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


class Sandbox(ImmutableSandboxedEnvironment):
    """The Jinja environment of all templates. Compile and render inside ``limited``.

    Args:
        filters: additional ones, by name.
    """

    intercepted_binops = frozenset(("+", "-", "*", "/", "//", "%", "**"))

    def __init__(self, **filters: Callable[..., Any]) -> None:
        super().__init__(
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            finalize=lambda value: current.get().whole(value),
            cache_size=0,
        )
        self.globals = {name: self.globals[name] for name in ("range", "dict", "namespace")}
        own = {**OWN, **{name: FILTERS[name] for name in KEPT}, **filters}
        self.filters = {name: counted(filter_) for name, filter_ in own.items()}
        self.filters |= {EACH: each, WHOLE: whole, JOINED: joined, COMPARED: compared}
        self.tests = {name: counted(test) for name, test in {**self.tests, "in": is_in}.items()}

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        code = 0
        for _, kind, text in self.lexer.tokeniter(source, name, filename):
            code += 0 if kind in ("data", "comment") else len(text)
            if code > CODE:
                raise TooMuch(f"more than {CODE:,} characters between its braces")
        tree = super()._parse(source, name, filename)
        for node in tree.find_all(tuple(REFUSED)):
            raise jinja2.TemplateSyntaxError(
                f"{REFUSED[type(node)]} is not possible in a template of mene, which is one file",
                node.lineno,
            )
        _guard(tree)
        return tree

    def concat(self, pieces: Iterable[str]) -> str:  # type: ignore[override]
        """Join the output of a template, a macro or a ``set`` block."""
        return together(pieces)

    def call(__self, __context: Any, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        limits = current.get()
        limits.step()
        if isinstance(__obj, LoopContext):  # {% for … recursive %}
            args = (each(args[0]), *args[1:]) if args else args
        elif isinstance(__obj, BuiltinMethodType) and isinstance(
            __obj.__self__, str | dict | list | tuple
        ):
            if __obj.__name__ not in METHODS:
                raise SecurityError(f"the method {__obj.__name__} cannot be called in a template")
            foresee(__obj, args)
        elif not isinstance(__obj, Macro | Undefined) and not (
            _is_loops_own(__obj) or any(__obj is one for one in __self.globals.values())
        ):
            raise SecurityError("a template cannot call this")
        return limits.whole(super().call(__context, __obj, *args, **kwargs))

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        limits = current.get()
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
            raise SecurityError("a template cannot format text with %; join it with ~")
        return limits.whole(super().call_binop(context, operator, left, right))


def _is_loops_own(value: Any) -> bool:
    """Return whether a value is ``loop.cycle`` or ``loop.changed``."""
    return isinstance(getattr(value, "__self__", None), LoopContext)


def _guard(tree: nodes.Node) -> None:
    """Route every loop, list, slice, comparison and ~ through a counting filter."""
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
    """Return whether a node creates a list, or a part of a text or list."""
    if isinstance(node, nodes.Getitem):
        return isinstance(node.arg, nodes.Slice)
    return isinstance(node, nodes.List | nodes.Dict | nodes.Tuple) and not _is_target(node)


def _is_target(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Tuple) and node.ctx != "load"  # for label, text in …


def _through(name: str, node: nodes.Node) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


def plain_jinja(**filters: Callable[..., Any]) -> jinja2.Environment:
    """Return an unguarded environment for built-in templates, since counting would take most of a row's time.

    Args:
        filters: as for ``Sandbox``.
    """
    jinja = jinja2.Environment(
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, cache_size=0
    )
    jinja.filters.update(filters)
    return jinja


def line_of(error: BaseException, body: jinja2.Template) -> int | None:
    """Return the line of a template where an error occurred; None: unknown."""
    found, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_globals is body.root_render_func.__globals__:  # type: ignore[attr-defined]
            found = body.get_corresponding_lineno(trace.tb_lineno)
        trace = trace.tb_next
    return found


def reason_of(error: BaseException) -> str:
    """Return a short reason for an error."""
    if isinstance(error, RecursionError):
        return "it calls itself too deeply"
    if isinstance(error, MemoryError):
        return "it needs more memory than there is"
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
