"""The appearance of code, apart from what it does: variable names, docstring, surrounding sentences.

A right and a wrong version get the same appearance, so that only their behaviour differs.
"""

from __future__ import annotations

import ast
import builtins
import keyword
import re

from mene.curate.make.case import pick
from mene.curate.make.places import Places, local_names

# Synonymous names. A name of the bank that is not listed stays.
NAMES = (
    ("text", "string", "s", "sentence"),
    ("word", "term", "token"),
    ("words", "terms", "tokens"),
    ("items", "values", "data", "elements"),
    ("numbers", "nums", "values"),
    ("item", "element", "entry"),
    ("number", "num", "value"),
    ("n", "num", "number"),
    ("result", "out", "output", "answer"),
    ("total", "acc", "running"),
    ("count", "counter", "found"),
    ("counts", "tally", "frequency"),
    ("i", "index", "pos"),
    ("c", "char", "letter"),
    ("x", "value", "v"),
    ("line", "row", "record"),
    ("best", "top", "current_best"),
    ("seen", "visited", "known"),
    ("start", "begin", "first_day"),
    ("parts", "pieces", "chunks"),
    ("left", "low", "lo"),
    ("right", "high", "hi"),
    ("first", "one", "a"),
    ("second", "other", "b"),
    ("key", "k", "name"),
)
OPENINGS = (
    "",
    "",
    "Here is the function:",
    "Sure. This does it:",
    "You can write it like this:",
    "Here is a solution in plain {language}:",
    "This should do what you need:",
)
CLOSINGS = (
    "",
    "",
    "It {does}.",
    "`{name}` {does}.",
    "No other packages are needed.",
    "The function `{name}` {does}. You can call it from anywhere in your program.",
)


def dressed(source: str, names: dict[str, str], docstring: str) -> str:
    """Return the source with renamed variables (``renames``) and a docstring, if there is one."""
    tree, at = ast.parse(source), Places(source)
    edits: list[tuple[int, int, str]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.arg) and node.arg in names:
            start = at.start(node)
            edits.append((start, start + len(node.arg), names[node.arg]))
        elif isinstance(node, ast.Name) and node.id in names:
            edits.append((at.start(node), at.end(node), names[node.id]))
    function = next(one for one in reversed(tree.body) if isinstance(one, ast.FunctionDef))
    if docstring:
        place = at.line(function.body[0].lineno)
        edits.append((place, place, f'    """{docstring}"""\n'))
    for start, end, text in sorted(edits, reverse=True):
        source = source[:start] + text + source[end:]
    return source


def renames(source: str, surface: tuple[object, ...], does: str) -> dict[str, str]:
    """Return unused new names for some variables of a function, except those mentioned in ``does``."""
    tree = ast.parse(source)
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} | local_names(tree)
    used |= {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    taken = used | set(dir(builtins)) | set(keyword.kwlist)
    return chosen_names(local_names(tree), taken, surface, does)


def chosen_names(
    mine: set[str], taken: set[str], surface: tuple[object, ...], does: str
) -> dict[str, str]:
    """Return new names for some of ``mine``."""
    found: dict[str, str] = {}
    for old, *others in NAMES:
        new = pick((old, *others), "name", old, *surface)
        free = new not in taken and new not in found.values()
        if old in mine and free and not re.search(rf"\b{old}\b", does):
            found[old] = new
    return found


def around(source: str, title: str, name: str, does: str, surface: tuple[object, ...]) -> str:
    """Return a response: the code in a block, optionally with sentences before and after it.

    Args:
        title: of the language.
        surface: parts of the draw; equal parts give the same sentences.
    """
    shown = {"language": title, "name": name, "does": does}
    before = pick(OPENINGS, "opening", *surface).format(**shown)
    after = pick(CLOSINGS, "closing", *surface).format(**shown)
    block = f"```{title.lower()}\n{source.strip()}\n```"
    return "\n\n".join(part for part in (before, block, after) if part)
