"""Changes of a function: each is one change, and each parses."""

from __future__ import annotations

import ast

import pytest

from mene.curate.make.bank import tasks
from mene.curate.make.mutate import mutants

SOURCE = """\
def middle(numbers, low):
    if not numbers:
        return None
    kept = sorted(n for n in numbers if n >= low)
    total = 0
    for i in range(len(kept)):
        total += kept[i] * 2
        if total > 100:
            break
    return total - 1
"""


@pytest.mark.parametrize(
    ("kind", "old", "new"),
    [
        ("operator", "n >= low", "n > low"),
        ("operator", "total += kept", "total -= kept"),
        ("operator", "kept[i] * 2", "kept[i] + 2"),
        ("bound", "range(len(kept))", "range(len(kept) - 1)"),
        ("bound", "range(len(kept))", "range(1, len(kept))"),
        ("bound", "return total - 1", "return total"),
        ("constant", "total > 100", "total > 101"),
        ("variable", "return total - 1", "return low - 1"),
        ("call", "sorted(n for n in numbers if n >= low)", "n for n in numbers if n >= low"),
        ("branch", "if not numbers", "if numbers"),
        ("branch", "break", "continue"),
        ("edge", "    if not numbers:\n        return None\n", ""),
        ("return", "    return total - 1", "    total - 1"),
    ],
)
def test_every_kind_of_change(kind: str, old: str, new: str) -> None:
    wanted = SOURCE.replace(old, new)
    found = {one.source: one.kind for one in mutants(SOURCE)}
    if kind == "call":  # would not parse
        assert wanted not in found
    else:
        assert found[wanted] == kind


def test_mutants_of_the_bank_parse_and_are_other_programs() -> None:
    for task in tasks()[::9]:
        for source in task.solutions:
            found = mutants(source)
            assert len({one.source for one in found}) == len(found) > 2
            whole = ast.dump(ast.parse(source))
            assert all(ast.dump(ast.parse(one.source)) != whole for one in found)
