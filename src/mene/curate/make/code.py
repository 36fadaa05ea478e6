"""Functions that do what was asked, and versions with one mistake: tests say which is which.

A case is a task of the bank, a solution that passes all tests, and a mutant of it that fails one. Names, docstring and
sentences around the code are the same for both.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from mene.criterion import load_criterion
from mene.curate.make.bank import Task, tasks
from mene.curate.make.case import Case, Questions, Told, pick, points_of
from mene.curate.make.mutate import Mutant, mutants
from mene.curate.make.runs import Result, run
from mene.curate.make.surface import around, dressed, renames
from mene.curate.mix import rank
from mene.curate.sources import Point
from mene.errors import EngineError

TASKS = "better, Yes/No (own question)"
WHY = "functions and versions with one mistake, told apart by running tests"
MOST = 24  # mutants of a solution that are run
ROUNDS = 200  # cases of a solution, at most

FRAMES = (
    "Write a Python function `{name}` that {does}.",
    "I need a Python function called `{name}`. It {does}.",
    "Please write `{name}` in Python: a function that {does}.",
    "Implement `{name}({arguments})` in Python. It {does}.",
    "How would I write a Python function `{name}` that {does}?",
    "Python: a function `{name}` which {does}. Keep it plain.",
    "Can you give me a function `{name}` for my Python script that {does}?",
    "Complete this in Python:\n\ndef {name}({arguments}):\n    # {does}",
)
VERSUS = (
    "Which response better does what was asked?",
    "Which code is correct?",
    "Which response is better?",
    "One of the two functions fails for some inputs. Which one is right?",
    "Which of the two would pass tests of what the instruction asks?",
)
ALONE = (
    "Is the code correct?",
    "Does the code do what was asked?",
    "Would the code pass tests of everything that the instruction asks for?",
)


@dataclass(frozen=True, slots=True)
class Killed:
    """A mutant that fails a test."""

    mutant: Mutant
    result: Result


def points(seed: int, count: int) -> Iterator[Point]:
    """At most ``count`` points, the same for the same seed.

    Raises:
        EngineError: solutions of the bank do not pass their tests here.
    """
    return islice(_points(seed), count)


def _points(seed: int) -> Iterator[Point]:
    criterion = load_criterion("code-correctness")
    asked = Questions("code", (criterion.question, *ALONE), criterion.labels, VERSUS)
    for case in cases(seed):
        yield from points_of(case, asked, seed)


def cases(seed: int) -> Iterator[Case]:
    """Cases, one of every solution in turn, none twice."""
    solutions = [(task, n) for task in tasks() for n in range(len(task.solutions))]
    found: dict[tuple[str, int], list[Killed]] = {}
    seen: set[tuple[str, str]] = set()
    lean = 0  # characters by which the wrong ones are longer so far
    for turn in range(ROUNDS):
        solutions.sort(key=lambda one: rank(seed, "solution", turn, one[0].name, one[1]))
        for task, n in solutions:
            key = task.name, n
            if key not in found or not found[key]:
                found[key] = killed(task, n, seed)
            one = _next(found[key], len(task.solutions[n]), lean)
            case = _case(task, n, one, turn, seed)
            if (case.right.text, case.wrong.text) not in seen:
                seen.add((case.right.text, case.wrong.text))
                lean += len(case.wrong.text) - len(case.right.text)
                yield case


def killed(task: Task, n: int, seed: int) -> list[Killed]:
    """Mutants of a solution that fail a test, kinds of change in turn.

    Raises:
        EngineError: the solution itself fails.
    """
    kinds: dict[str, list[Mutant]] = defaultdict(list)
    drawn = sorted(
        mutants(task.solutions[n]), key=lambda m: rank(seed, "mutant", task.name, n, m.source)
    )
    for mutant in drawn:
        kinds[mutant.kind].append(mutant)
    order = sorted(
        (place, mutant.kind) for same in kinds.values() for place, mutant in enumerate(same)
    )
    tried = [kinds[kind][place] for place, kind in order][:MOST]
    versions = [task.solutions[n], *(mutant.source for mutant in tried)]
    original, *results = run(task.name, versions, task.tests)
    if not original.passed:
        raise EngineError(
            f"cannot make code pairs: a solution of {task.name} fails its tests with this Python "
            f"({original.gave or 'it could not be run'}); leave code out of data.make"
        )
    return [Killed(m, r) for m, r in zip(tried, results, strict=True) if r.failed is not None]


def _next(left: list[Killed], length: int, lean: int) -> Killed:
    """Take the next one whose length brings right and wrong ones together; the first where there is none."""
    for place, one in enumerate(left):
        longer = len(one.mutant.source) - length
        if longer == 0 or (longer > 0) == (lean < 0):
            return left.pop(place)
    return left.pop(0)


def _case(task: Task, n: int, one: Killed, turn: int, seed: int) -> Case:
    name = f"code/{task.name}.{n}.{turn}"
    surface = (seed, name)
    names = renames(task.solutions[n], surface, task.does)
    summary = f"{task.does[:1].upper()}{task.does[1:]}."
    docstring = summary if rank("docstring", *surface) < 0.5 and '"' not in summary else ""
    right, wrong = (
        around(dressed(source, names, docstring), "python", task.name, task.does, surface)
        for source in (task.solutions[n], one.mutant.source)
    )
    test = task.tests[one.result.failed or 0]
    call = f"`{task.name}({test.arguments})`"
    praise = f"for {call} it returns {test.expected}, as was asked."
    blame = f"for {call} it {one.result.gave}, but {test.expected} was asked for."
    versus = " returns that.", f" {one.result.gave}."
    header = next(
        line for line in reversed(task.solutions[n].splitlines()) if line.startswith("def ")
    )
    arguments = header.partition("(")[2].rpartition(")")[0]
    instruction = pick(FRAMES, "frame", *surface).format(
        name=task.name,
        does=task.does,
        arguments=", ".join(names.get(a, a) for a in arguments.split(", ")),
    )
    return Case(
        id=name,
        source="code",
        group=f"code:{task.name}",
        instruction=instruction,
        right=Told(right, praise, blame, versus),
        wrong=Told(wrong, praise, blame, versus),
        premise=f"For {call}, {test.expected} was asked for.",
    )
