"""The bank of programming tasks, ``tasks/*.yaml``.

A task has ``does`` (a phrase that continues "a function that"), one or more ``solutions`` (the last function has the task's
name), and ``tests``, lines of ``arguments -> expected result`` as Python literals.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from mene.curate.make.runs import Test
from mene.curate.make.texts import FOLDER, read_texts


@dataclass(frozen=True, slots=True)
class Task:
    """A programming task. Attributes as in the files.

    Attributes:
        key: the task's name in the files, whatever the function's name in another language.
    """

    key: str
    name: str
    does: str
    solutions: tuple[str, ...]
    tests: tuple[Test, ...]


@cache
def tasks() -> tuple[Task, ...]:
    """Return all tasks, in the order of the files."""
    found = []
    for file in sorted((FOLDER / "tasks").glob("*.yaml")):
        for name, task in read_texts(f"tasks/{file.name}").items():
            tests = [
                Test(*re.split(r" -> ", line, maxsplit=1)) for line in task["tests"].splitlines()
            ]
            found.append(Task(name, name, task["does"], tuple(task["solutions"]), tuple(tests)))
    return tuple(found)
