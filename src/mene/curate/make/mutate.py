"""Small changes of a Python function, like typical mistakes of people and models.

Places are found in the syntax tree and changed in the text, so that everything else stays as written.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from mene.curate.make.places import Places, local_names

COMPARE = {
    ast.Lt: ("<", "<=", ">"),
    ast.LtE: ("<=", "<", ">="),
    ast.Gt: (">", ">=", "<"),
    ast.GtE: (">=", ">", "<="),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.In: ("in", "not in"),
    ast.NotIn: ("not in", "in"),
    ast.Is: ("is", "is not"),
    ast.IsNot: ("is not", "is"),
}
ARITHMETIC = {
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "+"),
    ast.Div: ("/", "//", "*"),
    ast.FloorDiv: ("//", "%"),
    ast.Mod: ("%", "//"),
    ast.Pow: ("**", "*"),
}
LOGIC = {ast.And: ("and", "or"), ast.Or: ("or", "and")}
OTHER_CALL = {
    "min": "max",
    "max": "min",
    "any": "all",
    "all": "any",
    "lower": "upper",
    "upper": "lower",
    "startswith": "endswith",
    "endswith": "startswith",
    "find": "rfind",
    "lstrip": "rstrip",
    "rstrip": "lstrip",
    "ceil": "floor",
    "floor": "ceil",
    "isalpha": "isalnum",
    "isalnum": "isalpha",
    "isupper": "islower",
    "pop": "remove",
    "keys": "values",
    "values": "keys",
}
BARE = ("sorted", "abs", "reversed", "set")  # removed calls: f(x) becomes x
STEPS = ("strip", "lower", "upper", "casefold", "lstrip", "rstrip")  # x.f() becomes x
_ODD = re.compile(r"[+-] 0\b(?!\.)|1 [+-] 1\b")  # never written by people


@dataclass(frozen=True, slots=True)
class Mutant:
    """A changed function.

    Attributes:
        kind: ``operator``, ``bound``, ``constant``, ``variable``, ``call``, ``branch``, ``edge`` or ``return``.
    """

    kind: str
    source: str


@dataclass(frozen=True, slots=True)
class _Edit:
    kind: str
    start: int
    end: int
    text: str


def mutants(source: str) -> list[Mutant]:
    """Return every version of ``source`` with one change that parses, without repeats; some are still right."""
    tree = ast.parse(source)
    whole = ast.dump(tree)
    found: dict[str, Mutant] = {}
    for edit in _edits(source, tree):
        text = source[: edit.start] + edit.text + source[edit.end :]
        if text in found or _ODD.search(text) or _same(text, whole):
            continue
        found[text] = Mutant(edit.kind, text)
    return list(found.values())


def _same(text: str, whole: str) -> bool:
    """Return whether a text is the program dumped as ``whole``, or does not parse."""
    try:
        return ast.dump(ast.parse(text)) == whole
    except SyntaxError:
        return True


def _edits(source: str, tree: ast.Module) -> Iterator[_Edit]:
    at = Places(source)
    for function in (n for n in tree.body if isinstance(n, ast.FunctionDef)):
        for node in ast.walk(function):
            if isinstance(node, ast.expr):
                yield from _of_expression(source, at, node)
            elif isinstance(node, ast.AugAssign):
                yield from _swapped(
                    source, at.end(node.target), at.start(node.value), ARITHMETIC[type(node.op)]
                )
            elif isinstance(node, ast.stmt):
                yield from _of_statement(source, at, node)
        yield from _variables(at, function)
        yield from _forgotten(source, at, function)


def _of_expression(source: str, at: Places, node: ast.expr) -> Iterator[_Edit]:
    start, end = at.start(node), at.end(node)
    match node:
        case ast.BinOp(left=left, op=op, right=right):
            if type(op) in ARITHMETIC:
                yield from _swapped(source, at.end(left), at.start(right), ARITHMETIC[type(op)])
            if isinstance(right, ast.Constant) and isinstance(op, ast.Add | ast.Sub):
                yield _Edit("bound", at.end(left), end, "")
        case ast.Compare(left=left, ops=ops, comparators=others):
            for one, op, other in zip([left, *others], ops, others, strict=False):
                yield from _swapped(source, at.end(one), at.start(other), COMPARE[type(op)])
        case ast.BoolOp(op=op, values=values):
            for one, other in pairwise(values):
                yield from _swapped(source, at.end(one), at.start(other), LOGIC[type(op)])
            yield _Edit("edge", start, at.start(values[1]), "")
            yield _Edit("edge", at.end(values[-2]), end, "")
        case ast.UnaryOp(op=ast.Not(), operand=inner):
            yield _Edit("branch", start, at.start(inner), "")
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            yield _Edit("operator", start, at.start(inner), "")
        case ast.IfExp(test=test):
            yield from _negated(source, at, test)
        case ast.Constant(value=value):
            for new in _constants(value):
                yield _Edit("constant", start, end, repr(new))
        case ast.Slice(lower=lower, upper=upper):
            if lower is not None and upper is not None:
                yield _Edit("bound", at.start(lower), at.end(lower), "")
            for bound in (lower, upper):
                if bound is not None and not isinstance(bound, ast.Constant):
                    yield _Edit("bound", at.end(bound), at.end(bound), " + 1")
                    yield _Edit("bound", at.end(bound), at.end(bound), " - 1")
        case ast.Call(func=func, args=args):
            yield from _of_call(source, at, node, func, args)
    for test in (c for g in getattr(node, "generators", []) for c in g.ifs):
        yield from _negated(source, at, test)


def _of_call(
    source: str, at: Places, node: ast.Call, func: ast.expr, args: list[ast.expr]
) -> Iterator[_Edit]:
    match func:
        case ast.Name(id=name):
            if name in OTHER_CALL:
                yield _Edit("call", at.start(func), at.end(func), OTHER_CALL[name])
            if name in BARE and args:
                yield _Edit(
                    "call",
                    at.start(node),
                    at.end(node),
                    source[at.start(args[0]) : at.end(args[0])],
                )
            if name == "range":
                for bound in args[:2]:
                    for change in (" + 1", " - 1"):
                        if not isinstance(bound, ast.Constant):
                            yield _Edit("bound", at.end(bound), at.end(bound), change)
                if len(args) == 1:
                    yield _Edit("bound", at.start(args[0]), at.start(args[0]), "1, ")
        case ast.Attribute(value=inner, attr=name):
            if name in OTHER_CALL:
                yield _Edit("call", at.end(func) - len(name), at.end(func), OTHER_CALL[name])
            if name in STEPS:
                yield _Edit(
                    "call", at.start(node), at.end(node), source[at.start(inner) : at.end(inner)]
                )


def _of_statement(source: str, at: Places, node: ast.stmt) -> Iterator[_Edit]:
    match node:
        case ast.If(test=test, body=body, orelse=others):
            yield from _negated(source, at, test)
            if not others and source[at.line(node.lineno) : at.start(node)].isspace():
                # Remove the whole line.
                yield _Edit("edge", at.line(node.lineno), _line_end(source, at.end(body[-1])), "")
        case ast.While(test=test):
            yield from _negated(source, at, test)
        case ast.Break():
            yield _Edit("branch", at.start(node), at.end(node), "continue")
        case ast.Continue():
            yield _Edit("branch", at.start(node), at.end(node), "break")


def _forgotten(source: str, at: Places, function: ast.FunctionDef) -> Iterator[_Edit]:
    last = function.body[-1]
    if isinstance(last, ast.Return) and last.value is not None:
        yield _Edit("return", at.start(last), at.start(last.value), "")
    for node in ast.walk(function):
        body = getattr(node, "body", None)
        inner = body[-1] if isinstance(body, list) else None
        # Return one step too early: the last statement moves into the loop.
        if (
            isinstance(node, ast.For | ast.While)
            and inner is not None
            and isinstance(last, ast.Return)
        ):
            if function.body[-2:] != [node, last] or isinstance(inner, ast.Return):
                continue
            indent = " " * node.body[0].col_offset
            text = source[at.start(last) : at.end(last)]
            yield _Edit("return", at.line(last.lineno), at.end(last), f"{indent}{text}")


def _variables(at: Places, function: ast.FunctionDef) -> Iterator[_Edit]:
    """Yield edits that replace a variable that is read by another one of the function."""
    names = sorted(local_names(function))
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in names:
            for other in names:
                if other != node.id:
                    yield _Edit("variable", at.start(node), at.end(node), other)


def _swapped(source: str, start: int, end: int, signs: tuple[str, ...]) -> Iterator[_Edit]:
    old, *others = signs
    between = source[start:end]
    for new in others:
        yield _Edit("operator", start, end, between.replace(old, new, 1))


def _negated(source: str, at: Places, test: ast.expr) -> Iterator[_Edit]:
    # Comparisons have their own opposites, and nobody writes "not a < b".
    if isinstance(test, ast.Name | ast.Call):
        yield _Edit("branch", at.start(test), at.start(test), "not ")


def _constants(value: object) -> Iterator[object]:
    match value:
        case bool():
            yield not value
        case int():
            yield value + 1
            if value > 0:
                yield value - 1
        case str() if len(value) > 3:
            yield value[:-1]
        case "":
            yield " "
        case " ":
            yield ""


def _line_end(source: str, place: int) -> int:
    found = source.find("\n", place)
    return len(source) if found < 0 else found + 1
