"""Positions in a Python program's text, and its variables' names."""

from __future__ import annotations

import ast


class Places:
    """Converts lines and columns of a syntax tree to offsets in its text, which must be ASCII."""

    def __init__(self, source: str) -> None:
        self._starts = [0]
        for line in source.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))

    def start(self, node: ast.expr | ast.stmt | ast.arg) -> int:
        """Return the offset where a node begins."""
        return self._starts[node.lineno - 1] + node.col_offset

    def end(self, node: ast.expr | ast.stmt | ast.arg) -> int:
        """Return the offset where a node ends."""
        return self._starts[(node.end_lineno or 1) - 1] + (node.end_col_offset or 0)

    def line(self, number: int) -> int:
        """Return the offset where a line begins."""
        return self._starts[number - 1]


def local_names(function: ast.AST) -> set[str]:
    """Return the arguments and variables of a function, including those of functions inside it."""
    found = set()
    for node in ast.walk(function):
        if isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
    return found
