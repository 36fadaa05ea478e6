"""Runs versions of a function on tests. This file is a separate program, started by ``runs.py``.

Input: one JSON object with ``name`` (of the function), ``versions`` (source texts) and ``tests`` (``[arguments, expected]``,
both
Python literals as text). Output: for every version ``null`` where all tests passed, else the number of the first failed test,
and
what it returned. Results are the same on every machine: endless code is stopped after a number of lines, not of seconds.
"""

import ast
import contextlib
import io
import json
import sys
from typing import Any

LINES = 5_000  # maximum lines executed per call
DEEP = 300  # maximum depth of nested calls
MEMORY = 1 << 30  # bytes, where the system supports a limit
SHOWN = 120  # characters of a value
FILE = "<version>"


class TooLong(BaseException):
    """Not a subclass of Exception, which a version might catch."""


def main():
    with contextlib.suppress(ImportError, ValueError, OSError):  # not on Windows
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    asked = json.load(sys.stdin)
    sys.setrecursionlimit(DEEP)
    answer = sys.stdout
    sys.stdout = io.StringIO()
    json.dump(
        [first_failure(one, asked["name"], asked["tests"]) for one in asked["versions"]], answer
    )


def first_failure(version, name, tests):
    """Return the number of the first failed test, and what the version returned; None where all pass."""
    for number, test in enumerate(tests):
        gave = outcome(version, name, *test)
        if gave is not None:
            return number, gave
    return None


def outcome(version, name, arguments, expected):
    """Return None where the version returns what is expected, else what it returns, in words."""
    left = LINES

    def count(frame, event, _):
        nonlocal left
        if frame.f_code.co_filename != FILE:
            return None
        left -= 1
        if left < 0:
            raise TooLong
        return count

    try:
        names: dict[str, Any] = {"__name__": "version"}
        sys.settrace(count)
        exec(compile(version, FILE, "exec"), names)
        got = names[name](*ast.literal_eval(f"({arguments},)"))
        shown = repr(got)
    except TooLong:
        return "does not come to an end"
    except MemoryError:
        return "needs more and more memory"
    except BaseException as error:
        return f"ends with {type(error).__name__}"
    finally:
        sys.settrace(None)
    if same(got, ast.literal_eval(expected)):
        return None
    # An address differs in every run.
    known = " at 0x" not in shown and len(shown) <= SHOWN
    return f"returns {shown}" if known else f"returns another {type(got).__name__}"


def same(one, other):
    """Return whether a user would call two values the same: lists equal tuples, 2 equals 2.0, but True does not equal 1."""
    if isinstance(one, bool) or isinstance(other, bool) or one is None or other is None:
        return one is other
    if isinstance(one, float) and isinstance(other, (int, float)):
        return abs(one - other) < 1e-9
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        return one == other
    return type(one) is type(other) and one == other


if __name__ == "__main__":
    main()
