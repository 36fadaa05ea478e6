"""Functions that do what was asked, and versions with one mistake, identified by tests.

A case is a task of the bank, a solution that passes all tests, and a mutant of it that fails one. Names, docstring and
surrounding sentences are the same for both.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from mene.criterion import load_criterion
from mene.curate.make.bank import Task, tasks
from mene.curate.make.case import Case, Questions, Told, pick, points_of
from mene.curate.make.even import Even, gained
from mene.curate.make.mutate import Mutant, mutants
from mene.curate.make.runs import Result, Test, run
from mene.curate.make.surface import around, dressed, renames
from mene.curate.mix import rank
from mene.curate.raw.sources import Point
from mene.errors import EngineError

TASKS = "better, Yes/No (own question)"
WHY = "functions and versions with one mistake, told apart by running tests"
MOST = 40  # maximum number of mutants run per solution
ROUNDS = 200  # maximum number of cases per solution

FRAMES = (
    "Write a {language} function `{name}` that {does}.",
    "I need a {language} function called `{name}`. It {does}.",
    "Please write `{name}` in {language}: a function that {does}.",
    "Implement `{name}({arguments})` in {language}. It {does}.",
    "How would I write a {language} function `{name}` that {does}?",
    "{language}: a function `{name}` which {does}. Keep it plain.",
    "Can you give me a function `{name}` for my {language} script that {does}?",
    "Complete this in {language}:\n\n{header}",
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
class Language:
    """What differs in another programming language.

    Attributes:
        name: of the generator.
        title: of the language.
        header: a function without its body, with ``{name}``, ``{arguments}`` and ``{does}``.
        tasks, mutants, run, renames, dressed: as in this file for Python.
    """

    name: str
    title: str
    header: str
    tasks: Callable[[], tuple[Task, ...]]
    mutants: Callable[[str], list[Mutant]]
    run: Callable[[str, Sequence[str], Sequence[Test]], list[Result]]
    renames: Callable[[str, tuple[object, ...], str], dict[str, str]]
    dressed: Callable[[str, dict[str, str], str], str]


@dataclass(frozen=True, slots=True)
class Killed:
    """A mutant that fails a test.

    Attributes:
        gained: what occurs more often in its text than in the solution's.
    """

    mutant: Mutant
    result: Result
    gained: Counter[str]


def points(seed: int, count: int) -> Iterator[Point]:
    """Yield at most ``count`` points, the same for the same seed.

    Raises:
        EngineError: solutions of the bank fail their tests on this machine.
    """
    return islice(points_in(PYTHON, seed), count)


def points_in(language: Language, seed: int) -> Iterator[Point]:
    """All points in a language."""
    criterion = load_criterion("code-correctness")
    asked = Questions(language.name, (criterion.question, *ALONE), criterion.labels, VERSUS)
    for case in cases(language, seed):
        yield from points_of(case, asked, seed)


def cases(language: Language, seed: int) -> Iterator[Case]:
    """Yield different cases, one per solution in turn."""
    solutions = [(task, n) for task in language.tasks() for n in range(len(task.solutions))]
    found: dict[tuple[str, int], list[Killed]] = {}
    left: dict[tuple[str, int], list[Killed]] = defaultdict(list)
    seen: set[tuple[str, str]] = set()
    even = Even()
    for turn in range(ROUNDS):
        solutions.sort(key=lambda one: rank(seed, "solution", turn, one[0].name, one[1]))
        for task, n in solutions:
            key = task.name, n
            if key not in found:
                found[key] = killed(language, task, n, seed)
            if not left[key]:  # at first, and after all were used
                left[key] = list(found[key])
            if not left[key]:
                continue
            one = left[key].pop(even.place([one.gained for one in left[key]]))
            case = _case(language, task, n, one, turn, seed)
            if (case.right.text, case.wrong.text) not in seen:
                seen.add((case.right.text, case.wrong.text))
                even.add(one.gained)
                yield case


def killed(language: Language, task: Task, n: int, seed: int) -> list[Killed]:
    """Return mutants of a solution that fail a test, alternating kinds of change.

    Raises:
        EngineError: the solution itself fails.
    """
    kinds: dict[str, list[Mutant]] = defaultdict(list)
    drawn = sorted(
        language.mutants(task.solutions[n]),
        key=lambda m: rank(seed, "mutant", task.name, n, m.source),
    )
    for mutant in drawn:
        kinds[mutant.kind].append(mutant)
    order = sorted(
        (place, mutant.kind) for same in kinds.values() for place, mutant in enumerate(same)
    )
    tried = [kinds[kind][place] for place, kind in order][:MOST]
    versions = [task.solutions[n], *(mutant.source for mutant in tried)]
    original, *results = language.run(task.name, versions, task.tests)
    if not original.passed:
        raise EngineError(
            f"cannot make {language.name} pairs: a solution of {task.name} fails its tests with this {language.title} "
            f"({original.gave or 'it could not be run'}); leave {language.name} out of data.make"
        )
    return [
        Killed(mutant, result, gained(mutant.source, task.solutions[n]))
        for mutant, result in zip(tried, results, strict=True)
        if result.failed is not None
    ]


def _case(language: Language, task: Task, n: int, one: Killed, turn: int, seed: int) -> Case:
    name = f"{language.name}/{task.name}.{n}.{turn}"
    surface = (seed, name)
    names = language.renames(task.solutions[n], surface, task.does)
    summary = f"{task.does[:1].upper()}{task.does[1:]}."
    docstring = summary if rank("docstring", *surface) < 0.5 and '"' not in summary else ""
    right, wrong = (
        around(
            language.dressed(source, names, docstring),
            language.title,
            task.name,
            task.does,
            surface,
        )
        for source in (task.solutions[n], one.mutant.source)
    )
    test = task.tests[one.result.failed or 0]
    call = f"`{task.name}({test.arguments})`"
    praise = f"for {call} it returns {test.expected}, as was asked."
    blame = f"for {call} it {one.result.gave}, but {test.expected} was asked for."
    clauses = " returns that.", f" {one.result.gave}."
    header = re.search(rf"{task.name}\((.*?)\)", task.solutions[n])
    arguments = header[1].split(", ") if header else []
    shown = {
        "name": task.name,
        "does": task.does,
        "arguments": ", ".join(names.get(one, one) for one in arguments),
        "language": language.title,
    }
    shown["header"] = language.header.format(**shown)
    instruction = pick(FRAMES, "frame", *surface).format(**shown)
    return Case(
        id=name,
        group=f"code:{task.key}",
        instruction=instruction,
        right=Told(right, praise, blame, clauses),
        wrong=Told(wrong, praise, blame, clauses),
        premise=f"For {call}, {test.expected} was asked for.",
    )


PYTHON = Language(
    name="code",
    title="Python",
    header="def {name}({arguments}):\n    # {does}",
    tasks=lambda: tasks(),
    mutants=mutants,
    run=run,
    renames=renames,
    dressed=dressed,
)
