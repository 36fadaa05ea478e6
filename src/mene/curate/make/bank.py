"""The bank of programming tasks: ``tasks/*.yaml``, written for this.

A task has ``does`` (a phrase that can follow "a function that"), one or more ``solutions`` (the last function has the
name of the task), and ``tests``, lines of ``arguments -> what it must return`` as Python literals.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib import resources

from mene.curate.make.runs import Test
from mene.library.yaml_file import read_yaml


@dataclass(frozen=True, slots=True)
class Task:
    """A programming task. Attributes as in the files.

    Attributes:
        key: the name of the task in the files, whatever the function is called in a language.
    """

    key: str
    name: str
    does: str
    solutions: tuple[str, ...]
    tests: tuple[Test, ...]


@cache
def tasks() -> tuple[Task, ...]:
    """All tasks, in the order of the files."""
    folder = resources.files("mene") / "curate" / "make" / "tasks"
    found = []
    for file in sorted(folder.iterdir(), key=lambda one: one.name):
        if not file.name.endswith(".yaml"):
            continue
        for name, task in read_yaml(file.read_text("utf-8"), file.name).items():
            tests = [
                Test(*re.split(r" -> ", line, maxsplit=1)) for line in task["tests"].splitlines()
            ]
            found.append(Task(name, name, task["does"], tuple(task["solutions"]), tuple(tests)))
    return tuple(found)
