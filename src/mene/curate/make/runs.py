"""Running versions of a function on tests, in a separate process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PYTHON = (sys.executable, "-S", "-s", "-B", str(Path(__file__).with_name("harness.py")))
SECONDS = 20  # a safeguard: the harness's own limits stop endless code much earlier

_SYSTEM = {key: os.environ[key] for key in ("SYSTEMROOT",) if key in os.environ}  # Windows


@dataclass(frozen=True, slots=True)
class Test:
    """A call and its expected result, as literals of the language.

    Attributes:
        arguments: as between the parentheses of a call.
    """

    __test__ = False  # tells pytest that this is not a test class

    arguments: str
    expected: str


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a version.

    Attributes:
        failed: number of the first failed test; None where all passed, or where nothing is known.
        gave: what it did there, e.g. ``returns 3``; "" otherwise.
        known: False where its process was ended, or crashed.
    """

    failed: int | None = None
    gave: str = ""
    known: bool = True

    @property
    def passed(self) -> bool:
        """Whether all tests passed."""
        return self.known and self.failed is None


def run(
    name: str, versions: Sequence[str], tests: Sequence[Test], command: Sequence[str] = PYTHON
) -> list[Result]:
    """Return the result of every version on the tests, in order.

    Args:
        command: starts the harness.
    """
    results = _run(name, versions, tests, command)
    if results is not None:
        return results
    if len(versions) == 1:
        return [Result(known=False)]
    return [run(name, [version], tests, command)[0] for version in versions]


def _run(
    name: str, versions: Sequence[str], tests: Sequence[Test], command: Sequence[str]
) -> list[Result] | None:
    asked = {
        "name": name,
        "versions": list(versions),
        "tests": [[test.arguments, test.expected] for test in tests],
    }
    try:
        done = subprocess.run(
            command,
            input=json.dumps(asked),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            # A fixed order of sets and dicts.
            env={**_SYSTEM, "PYTHONHASHSEED": "0", "PYTHONIOENCODING": "utf-8"},
        )
    except subprocess.TimeoutExpired:
        return None
    if done.returncode != 0:
        return None
    return [Result() if one is None else Result(*one) for one in json.loads(done.stdout)]
