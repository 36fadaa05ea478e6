"""The generator ``code`` for JavaScript: run by Node, mutated word by word, without a syntax tree."""

from __future__ import annotations

import ast
import json
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from itertools import islice
from pathlib import Path

from mene.curate.make import bank, code, runs
from mene.curate.make.bank import Task
from mene.curate.make.mutate import Mutant
from mene.curate.make.runs import Result, Test
from mene.curate.make.surface import chosen_names
from mene.curate.make.texts import read_texts
from mene.curate.raw.sources import Point
from mene.errors import UsageError

TASKS = code.TASKS
WHY = "the same in JavaScript; needs Node"

HARNESS = Path(__file__).with_name("harness.js")
WORDS = {  # of the requests, which speak of Python
    "True or False": "true or false",
    "True": "true",
    "False": "false",
    "None": "null",
    "dict": "object",
    "list": "array",
    "lists": "arrays",
    "a array": "an array",
    " (without ** or pow)": "",
}
OPERATORS = {
    "<": ("<=", ">"),
    "<=": ("<", ">="),
    ">": (">=", "<"),
    ">=": (">", "<="),
    "===": ("!==",),
    "!==": ("===",),
    "&&": ("||",),
    "||": ("&&",),
    "+": ("-",),
    "-": ("+",),
    "*": ("+",),
    "/": ("*",),
    "%": ("/",),
    "+=": ("-=",),
    "-=": ("+=",),
}
CALLS = {
    "toLowerCase": "toUpperCase",
    "toUpperCase": "toLowerCase",
    "min": "max",
    "max": "min",
    "pop": "shift",
    "floor": "ceil",
    "ceil": "floor",
    "startsWith": "endsWith",
    "indexOf": "lastIndexOf",
    "lastIndexOf": "indexOf",
}
BRANCHES = {"break": "continue", "continue": "break"}
KEPT = {
    "function",
    "return",
    "let",
    "const",
    "for",
    "of",
    "if",
    "else",
    "while",
    "break",
    "continue",
}
KEPT |= {"true", "false", "null", "undefined", "Array", "Math", "Number", "String"}
_TOKEN = re.compile(
    r"'(?:[^'\\]|\\.)*'|\d+(?:\.\d+)?|[A-Za-z_$][\w$]*|=>|===|!==|<=|>=|\+=|-=|&&|\|\||\s+|."
)
_ODD = re.compile(r"[+-] 0\b(?!\.)|\* 1\b")


def points(seed: int, count: int) -> Iterator[Point]:
    """Yield at most ``count`` points, the same for the same seed.

    Raises:
        UsageError: Node is not installed.
        EngineError: solutions of the bank fail their tests on this machine.
    """
    if _node() is None:
        raise UsageError(
            "data.make.javascript: it runs code with Node, and there is no `node` on this machine; install it "
            "(https://nodejs.org), or leave javascript out of data.make"
        )
    return islice(code.points_in(LANGUAGE, seed), count)


@cache
def tasks() -> tuple[Task, ...]:
    """Return the tasks of the bank that have a JavaScript solution, with requests in JavaScript's terms."""
    solutions = read_texts("javascript.yaml")
    known = {task.name: task for task in bank.tasks()}
    return tuple(_translated(known[name], source) for name, source in solutions.items())


def _translated(task: Task, source: str) -> Task:
    does = task.does
    for word, other in WORDS.items():
        does = re.sub(rf"(?<!\w){re.escape(word)}(?!\w)", other, does)
    tests = [
        Test(
            json.dumps(ast.literal_eval(f"[{test.arguments}]"))[1:-1],
            json.dumps(ast.literal_eval(test.expected)),
        )
        for test in task.tests
    ]
    first, *rest = task.name.split("_")
    name = first + "".join(part.capitalize() for part in rest)
    return replace(task, name=name, does=does, solutions=(source,), tests=tuple(tests))


def mutants(source: str) -> list[Mutant]:
    """Return every version of ``source`` with one change, without repeats; some are right, and some do not parse."""
    found: dict[str, Mutant] = {}
    for kind, start, end, new in _edits(source):
        text = source[:start] + new + source[end:]
        if text != source and not _ODD.search(text):
            found.setdefault(text, Mutant(kind, text))
    return list(found.values())


def _edits(source: str) -> Iterator[tuple[str, int, int, str]]:
    names = sorted(_names(source))
    before = ""
    for token in _TOKEN.finditer(source):
        text, start, end = token[0], token.start(), token.end()
        if text.isspace():
            continue
        for new in OPERATORS.get(text, ()):
            yield "operator", start, end, new
        if text.isdigit():
            yield "constant", start, end, str(int(text) + 1)
            if int(text) > 0:
                yield "constant", start, end, str(int(text) - 1)
        if text in ("true", "false"):
            yield "constant", start, end, "false" if text == "true" else "true"
        if text == "!":
            yield "branch", start, end, ""
        if text in CALLS:
            yield "call", start, end, CALLS[text]
        if text in BRANCHES:
            yield "branch", start, end, BRANCHES[text]
        declared = before in ("let", "const", "function", ".")
        if text in names and not declared and not source.startswith(")", end):
            for other in names:
                if other != text:
                    yield "variable", start, end, other
        before = text
    for test in re.finditer(r"\bif \(([\w.(]+\)?)\) \{$", source, re.M):
        yield "branch", test.start(1), test.start(1), "!"
    for guard in re.finditer(r"^( +)if \(.*\) \{\n(?:\1 +.*\n)+\1\}\n", source, re.M):
        yield "edge", guard.start(), guard.end(), ""
    if last := re.search(r"^  (return )[^\n]*;\n\}\s*$", source, re.M):
        yield "return", last.start(1), last.end(1), ""


def _names(source: str) -> set[str]:
    """Return the arguments and variables of a function."""
    found = set(re.findall(r"\b(?:let|const) (\w+)", source))
    for arguments in re.findall(r"function \w+\(([^)]*)\)|\((\w+, \w+)\) =>", source):
        found |= {name.strip() for name in ",".join(arguments).split(",") if name.strip()}
    return found


def run(name: str, versions: Sequence[str], tests: Sequence[Test]) -> list[Result]:
    """Like ``runs.run``; the result of a version that does not parse is unknown."""
    results = runs.run(name, versions, tests, (_node() or "node", str(HARNESS)))
    return [Result(known=False) if one.gave == "ends with SyntaxError" else one for one in results]


def dressed(source: str, names: dict[str, str], comment: str) -> str:
    """Return the source with renamed variables and a comment above it, if there is one."""
    before, found = "", []
    for token in _TOKEN.finditer(source):
        found.append(token[0] if before == "." else names.get(token[0], token[0]))
        before = token[0]
    return (f"// {comment}\n" if comment else "") + "".join(found)


def renames(source: str, surface: tuple[object, ...], does: str) -> dict[str, str]:
    """Return unused new names for some variables of a function."""
    words = {token[0] for token in _TOKEN.finditer(source)}
    return chosen_names(_names(source), words | KEPT, surface, does)


@cache
def _node() -> str | None:
    return shutil.which("node")


LANGUAGE = code.Language(
    name="javascript",
    title="JavaScript",
    header="function {name}({arguments}) {{\n  // {does}\n}}",
    tasks=tasks,
    mutants=mutants,
    run=run,
    renames=renames,
    dressed=dressed,
)
