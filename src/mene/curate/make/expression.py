"""Arithmetic expressions such as ``n * p``: exact values, text with the numbers filled in, and variants with one change."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from fractions import Fraction

Values = Mapping[str, Fraction]

SIGNS = {ast.Add: "+", ast.Sub: "−", ast.Mult: "×", ast.Div: "÷"}
OTHERS = {
    ast.Add: (ast.Sub, ast.Mult),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Add, ast.Div),
    ast.Div: (ast.Mult, ast.Sub),
}
RANKS = {ast.Add: 1, ast.Sub: 1, ast.Mult: 2, ast.Div: 2}


def parsed(text: str) -> ast.expr:
    """Return the syntax tree of an expression of names, numbers, + - * / % and comparisons."""
    return ast.parse(text, mode="eval").body


def value(tree: ast.expr, values: Values) -> Fraction:
    """Return the exact value of an expression.

    Raises:
        ZeroDivisionError: it divides by zero.
        KeyError: it contains a name that is not in ``values``.
        TypeError: it contains another kind of expression.
    """
    match tree:
        case ast.Constant(value=int() | float() as number):
            return Fraction(str(number))
        case ast.Name(id=name):
            return values[name]
        case ast.BinOp(left=left, op=op, right=right):
            one, other = value(left, values), value(right, values)
            match op:
                case ast.Add():
                    return one + other
                case ast.Sub():
                    return one - other
                case ast.Mult():
                    return one * other
                case ast.Div():
                    return one / other
                case ast.Mod():
                    return one % other
    raise TypeError(f"no calculation: {ast.unparse(tree)}")


def holds(text: str, values: Values) -> bool:
    """Return whether a condition, comparisons joined by ``and``, is true."""
    tree = parsed(text)
    parts = tree.values if isinstance(tree, ast.BoolOp) else [tree]
    for part in parts:
        if not isinstance(part, ast.Compare):
            raise TypeError(f"no comparison: {text}")
        one, other = value(part.left, values), value(part.comparators[0], values)
        match part.ops[0]:
            case ast.Gt():
                good = one > other
            case ast.Lt():
                good = one < other
            case ast.Eq():
                good = one == other
            case _:
                raise TypeError(f"write <, > or ==: {text}")
        if not good:
            return False
    return True


def shown(tree: ast.expr, values: Values) -> str:
    """Return an expression with its numbers filled in: ``3 × (4 + 5)``."""
    match tree:
        case ast.BinOp(left=left, op=op, right=right):
            mine = RANKS[type(op)]
            one, other = shown(left, values), shown(right, values)
            if isinstance(left, ast.BinOp) and RANKS[type(left.op)] < mine:
                one = f"({one})"
            if isinstance(right, ast.BinOp) and RANKS[type(right.op)] <= mine:
                other = f"({other})"
            return f"{one} {SIGNS[type(op)]} {other}"
    return number(value(tree, values))


def number(amount: Fraction) -> str:
    """Return a number as people write it: 12, 4.5."""
    if amount.denominator == 1:
        return str(amount.numerator)
    return f"{float(amount):.2f}".rstrip("0").rstrip(".")


def names(tree: ast.expr) -> list[str]:
    """Return the names in an expression, in order."""
    return [node.id for node in ast.walk(tree) if isinstance(node, ast.Name)]


def other_operations(tree: ast.expr) -> Iterator[ast.expr]:
    """Yield the expression with another operation in one place, for each place."""
    if isinstance(tree, ast.BinOp):
        for op in OTHERS[type(tree.op)]:
            yield ast.BinOp(tree.left, op(), tree.right)
        for left in other_operations(tree.left):
            yield ast.BinOp(left, tree.op, tree.right)


def renamed(tree: ast.expr, old: str, new: str) -> ast.expr:
    """Return the expression with one name replaced by another."""
    match tree:
        case ast.BinOp(left=left, op=op, right=right):
            return ast.BinOp(renamed(left, old, new), op, renamed(right, old, new))
        case ast.Name(id=name) if name == old:
            return ast.Name(new)
    return tree
