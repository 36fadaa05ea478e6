"""Solutions with one wrong step that later steps build on: possible errors, and how to describe them."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

from mene.curate.make.expression import names, number, other_operations, renamed
from mene.curate.make.problems import Drawn, Line, Step, Worked, work

KINDS = ("operation", "sum", "misread", "skipped", "twice")


@dataclass(frozen=True, slots=True)
class Slip:
    """A solution with a wrong step.

    Attributes:
        kind: one of ``KINDS``.
        at: index of the first wrong step.
        blame: what is wrong about it.
        false: a false claim about an error in the right solution.
    """

    kind: str
    at: int
    worked: Worked
    blame: str
    false: str


def slips(kind: str, one: Drawn, right: Worked) -> list[Slip]:
    """Return every wrong solution of a kind that has another answer."""
    make: Callable[[Drawn, Worked, int], Iterator[Slip]] = {
        "operation": _operation,
        "sum": _sum,
        "misread": _misread,
        "skipped": _skipped,
        "twice": _twice,
    }[kind]
    found = (slip for at in range(len(right.lines)) for slip in make(one, right, at))
    return [slip for slip in found if slip.worked.answer != right.answer]


def _operation(one: Drawn, right: Worked, at: int) -> Iterator[Slip]:
    def says(mine: Line, other: Line) -> str:
        return f'step {at + 1} has "{mine.calculation}" where {other.calculation} is needed'

    for tree in other_operations(one.problem.steps[at].tree):
        if worked := _changed(one, right, at, tree):
            bad, good = worked.lines[at], right.lines[at]
            yield Slip("operation", at, worked, says(bad, good), says(good, bad))


def _sum(one: Drawn, right: Worked, at: int) -> Iterator[Slip]:
    """Yield errors in the calculation: a carry, or a neighbouring number."""
    line = right.lines[at]
    offs = [1, -1, 2, -2] if line.value < 20 else [1, -1, 10, -10, 20]
    if line.value >= 200:
        offs += [100, -100]
    for off in offs:
        worked = work(one, one.problem.steps, (at, line.value + Fraction(off)))
        if worked is None:
            continue
        bad = worked.lines[at]
        yield Slip("sum", at, worked, _says(at, bad, line), _says(at, line, bad))


def _says(at: int, mine: Line, other: Line) -> str:
    calculation = mine.calculation.partition(" = ")[0]
    return f'step {at + 1} says "{mine.calculation}", but {calculation} makes {number(other.value)}'


def _misread(one: Drawn, right: Worked, at: int) -> Iterator[Slip]:
    """Yield solutions with another number of the problem, or with reversed digits."""

    def says(mine: Line, other: Line, took: str, given: str) -> str:
        return (
            f'step {at + 1} has "{mine.calculation}" with {took} in the place of {given}; '
            f"it must be {other.calculation}"
        )

    tree = one.problem.steps[at].tree
    for name in sorted(set(names(tree)) & one.values.keys()):
        old = one.values[name]
        others = {v for v in one.values.values() if v != old}
        if old.denominator == 1 and old > 9:
            others.add(Fraction(str(old.numerator)[::-1]))
        for new in sorted(others - {old}):
            if worked := _changed(one, right, at, _with(tree, name, new)):
                bad, good, a, b = worked.lines[at], right.lines[at], number(old), number(new)
                yield Slip("misread", at, worked, says(bad, good, b, a), says(good, bad, a, b))


def _with(tree: ast.expr, name: str, new: Fraction) -> ast.expr:
    match tree:
        case ast.BinOp(left=left, op=op, right=right):
            return ast.BinOp(_with(left, name, new), op, _with(right, name, new))
        case ast.Name(id=found) if found == name:
            return ast.Constant(int(new) if new.denominator == 1 else float(new))
    return tree


def _changed(one: Drawn, right: Worked, at: int, tree: ast.expr) -> Worked | None:
    """Return the solution with another calculation in one step; None where the result is the same, or not allowed."""
    steps = list(one.problem.steps)
    steps[at] = replace(steps[at], tree=tree)
    worked = work(one, steps)
    if worked is None or worked.lines[at].value == right.lines[at].value:
        return None
    return worked


def _skipped(one: Drawn, right: Worked, at: int) -> Iterator[Slip]:
    """Yield solutions without a step, whose input is used as its result."""
    steps = one.problem.steps
    step = steps[at]
    if at + 1 == len(steps) or step.name not in names(steps[at + 1].tree):
        return
    for name in dict.fromkeys(names(step.tree)):
        rest = [Step(s.name, renamed(s.tree, step.name, name), s.say) for s in steps[at + 1 :]]
        worked = work(one, [*steps[:at], *rest])
        if worked is None:
            continue
        missing, bad = right.lines[at].calculation, worked.lines[at].calculation
        yield Slip(
            "skipped",
            at,
            worked,
            f'before "{bad}" a step is missing: {missing}',
            f'step {at + 1}, "{missing}", does not belong there; it goes on with {bad} at once',
        )


def _twice(one: Drawn, right: Worked, at: int) -> Iterator[Slip]:
    """Yield solutions with a step applied again to its result."""
    steps = one.problem.steps
    step = steps[at]
    for name in dict.fromkeys(names(step.tree)):
        again = Step(f"{step.name}_", renamed(step.tree, name, step.name), step.say)
        rest = [
            Step(s.name, renamed(s.tree, step.name, again.name), s.say) for s in steps[at + 1 :]
        ]
        worked = work(one, [*steps[: at + 1], again, *rest])
        if worked is None or len({line.calculation for line in worked.lines}) < len(worked.lines):
            continue
        bad, good = worked.lines[at + 1].calculation, right.lines[at].calculation
        yield Slip(
            "twice",
            at + 1,
            worked,
            f'step {at + 2}, "{bad}", does again what "{good}" has done',
            f'after step {at + 1}, "{good}", the same is needed once more: {bad}',
        )
