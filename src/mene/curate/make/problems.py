"""The bank of word problems, ``problems.yaml``, with random numbers and computed steps.

A problem has a ``text``, its random values (``draw``: ``3-9``, ``40-240 by 20``, a list, or an expression of earlier values),
optionally a condition (``where``), its ``steps`` and its ``answer``. ``formula`` gives the answer directly from the drawn
values, and
must agree with the steps. Values are integers above 0, with ``parts: true`` with up to two decimals.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any

from mene.curate.make.case import pick
from mene.curate.make.expression import holds, number, parsed, shown, value
from mene.curate.make.texts import read_texts
from mene.curate.mix import rank

TRIES = 200  # draws until all numbers are allowed
DAY = 24 * 60  # minutes
_RANGE = re.compile(r"(\d+)-(\d+)(?: by (\d+))?")
_SLOT = re.compile(r"(\$?)\{(\w+|=)(:clock)?\}")


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a solution: ``name = tree``, and its sentence."""

    name: str
    tree: ast.expr
    say: str


@dataclass(frozen=True, slots=True)
class Problem:
    """A word problem. Attributes as in the file."""

    name: str
    text: str
    draw: dict[str, Any]
    where: str
    steps: tuple[Step, ...]
    formula: ast.expr
    answer: str
    parts: bool


@dataclass(frozen=True, slots=True)
class Drawn:
    """A problem with its numbers.

    Attributes:
        values: of the drawn numbers.
        words: of the other slots: who, things, place.
    """

    problem: Problem
    values: dict[str, Fraction]
    words: dict[str, str]


@dataclass(frozen=True, slots=True)
class Line:
    """A step with its numbers.

    Attributes:
        calculation: ``5 × 12 = 60``.
        text: the sentence with it.
    """

    calculation: str
    text: str
    value: Fraction


@dataclass(frozen=True, slots=True)
class Worked:
    """A problem with its worked solution."""

    lines: tuple[Line, ...]
    answer: str


@cache
def problems() -> tuple[Problem, ...]:
    """Return all problems, in the order of the file."""
    return tuple(_problem(name, one) for name, one in _bank()["problems"].items())


def drawn(problem: Problem, *parts: object) -> Drawn:
    """Return a problem with numbers, drawn by hash of the parts.

    Raises:
        ValueError: the steps disagree with the formula, or no numbers fit.
    """
    bank = _bank()
    words = {
        "who": pick(bank["names"], "who", *parts),
        "things": pick(bank["things"], "things", *parts),
        "place": pick(bank["places"], "place", *parts),
    }
    for attempt in range(TRIES):
        values: dict[str, Fraction] = {}
        for name, spec in problem.draw.items():
            values[name] = _value(spec, values, rank(name, attempt, *parts))
        if min(values.values()) <= 0 or (problem.where and not holds(problem.where, values)):
            continue
        one = Drawn(problem, values, words)
        found = work(one, problem.steps)
        if found is None:
            continue
        if found.lines[-1].value != value(problem.formula, values):
            raise ValueError(f"problems.yaml: {problem.name}: the steps do not come to the formula")
        return one
    raise ValueError(f"problems.yaml: {problem.name}: no numbers fit")


def work(
    one: Drawn, steps: Sequence[Step], slip: tuple[int, Fraction] | None = None
) -> Worked | None:
    """Return the steps with their numbers; None where a value is not allowed.

    Args:
        slip: number of a step, and a wrong value for it; later steps use the wrong value.
    """
    values, lines = dict(one.values), []
    clock = ":clock" in one.problem.answer
    for place, step in enumerate(steps):
        try:
            found = value(step.tree, values)
        except ZeroDivisionError:
            return None
        if slip and slip[0] == place:
            found = slip[1]
        nice = found * 100 if one.problem.parts else found
        if found <= 0 or nice.denominator != 1 or (clock and found >= DAY):
            return None
        calculation = f"{shown(step.tree, values)} = {number(found)}"
        values[step.name] = found
        lines.append(Line(calculation, said(step.say, one.words, values, calculation), found))
    # The answer refers to the last value, whatever its step is called.
    values[one.problem.steps[-1].name] = lines[-1].value
    return Worked(tuple(lines), said(one.problem.answer, one.words, values))


def asked(one: Drawn) -> str:
    """Return the text of a problem."""
    return said(one.problem.text, one.words, one.values)


def said(
    text: str, words: dict[str, str], values: dict[str, Fraction], calculation: str = ""
) -> str:
    """Return a text with its slots filled."""

    def fill(slot: re.Match[str]) -> str:
        dollar, name, clock = slot.groups()
        if name == "=":
            return calculation
        if name in words:
            return words[name]
        found = values[name]
        if clock:
            return f"{int(found) // 60}:{int(found) % 60:02d}"
        if dollar and found.denominator != 1:
            return f"${float(found):.2f}"
        return dollar + number(found)

    return _SLOT.sub(fill, text)


@cache
def _bank() -> dict[str, Any]:
    return read_texts("problems.yaml")


def _problem(name: str, read: dict[str, Any]) -> Problem:
    steps = []
    for line in read["steps"]:
        left, _, say = line.partition(" | ")
        target, _, calculation = left.partition(" = ")
        steps.append(Step(target, parsed(calculation), say.strip('"')))
    return Problem(
        name=name,
        text=read["text"],
        draw=read["draw"],
        where=read.get("where", ""),
        steps=tuple(steps),
        formula=parsed(str(read["formula"])),
        answer=read["answer"],
        parts=read.get("parts", False),
    )


def _value(spec: Any, values: dict[str, Fraction], drawn: float) -> Fraction:
    if isinstance(spec, list):
        return Fraction(str(spec[int(drawn * len(spec))]))
    if found := _RANGE.fullmatch(str(spec)):
        low, high, step = int(found[1]), int(found[2]), int(found[3] or 1)
        options = range(low, high + 1, step)
        return Fraction(options[int(drawn * len(options))])
    return value(parsed(str(spec)), values)
