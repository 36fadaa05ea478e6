"""Code pairs: the right one passes the tests, the wrong one fails, and nothing but the mistake tells them apart."""

from __future__ import annotations

import ast
import re
from collections import Counter
from dataclasses import replace

import pytest

from mene.curate.critiques.filter import flaw, trimmed
from mene.curate.make import code
from mene.curate.make.bank import Task, tasks
from mene.curate.make.runs import Result, Test, run
from mene.curate.raw.sources import Point
from mene.errors import EngineError

BLOCK = re.compile(r"```python\n(.*?)\n```", re.S)


@pytest.fixture(scope="module")
def made() -> list[Point]:
    # A few tasks, so that the test is quick; the others are as these.
    some = tasks()[::12]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(code, "tasks", lambda: some)
        return list(code.points(3, 300))


def source_of(text: str | None) -> str:
    found = BLOCK.search(text or "")
    assert found is not None
    return found[1]


def test_the_bank_is_large_and_plain() -> None:
    assert len(tasks()) >= 60
    assert len({task.name for task in tasks()}) == len(tasks())
    for task in tasks():
        assert len(task.tests) >= 3
        assert not task.does.endswith(".") and '"' * 3 not in task.does
        for source in task.solutions:
            assert source.isascii()  # columns of a syntax tree are bytes
            nodes = {type(node) for node in ast.walk(ast.parse(source))}
            assert ast.JoinedStr not in nodes  # its places are wrong before Python 3.12


def test_solutions_pass_and_mutants_fail(made: list[Point]) -> None:
    """Run once more, from the very texts of the points, with other names and all."""
    for task in tasks():
        mine = [p for p in made if p.group == f"code:{task.name}" and p.sample.response]
        results = (
            run(task.name, [source_of(p.sample.response) for p in mine], task.tests) if mine else []
        )
        assert all(result.known for result in results)
        assert [result.passed for result in results] == [p.label == "Yes" for p in mine]


def test_pairs_prefer_the_right_one(made: list[Point]) -> None:
    alone = {p.id: p.sample.response for p in made}
    pairs = [p for p in made if p.criterion.scale.kind == "pairwise"]
    assert 0.35 < sum(p.label == "A" for p in pairs) / len(pairs) < 0.65
    for point in pairs:
        good, bad = alone.get(point.id[:-4] + "right"), alone.get(point.id[:-4] + "wrong")
        texts = (point.sample.response_a, point.sample.response_b)
        assert texts == ((good, bad) if point.label == "A" else (bad, good))


def test_form_and_length_do_not_tell(made: list[Point]) -> None:
    right = [p.sample.response or "" for p in made if p.label == "Yes"]
    wrong = [p.sample.response or "" for p in made if p.label == "No"]
    assert len(right) == len(wrong) == 100
    assert sum(map(len, right)) == pytest.approx(sum(map(len, wrong)), rel=0.02)
    for one, other in zip(right, wrong, strict=True):
        assert BLOCK.sub("", one) == BLOCK.sub("", other)  # the sentences around
        assert ('"""' in one) == ('"""' in other)
        assert len(one.splitlines()) - len(other.splitlines()) in range(-2, 6)


def test_reasons_are_fit_to_be_learned(made: list[Point]) -> None:
    flaws: Counter[str | None] = Counter()
    for point in made:
        assert point.critique and point.rejected
        for label, text in ((point.label, point.critique), point.rejected):
            flaws[flaw(trimmed(text), label, point.criterion.scale.labels)] += 1
            assert trimmed(text) == text
        assert point.rejected[0] != point.label
    assert set(flaws) <= {None, "repeats"}  # what it gives may be long, as nested lists are
    assert flaws["repeats"] < 0.05 * flaws.total()


def test_the_same_seed_gives_the_same_points(monkeypatch) -> None:
    some = tasks()[:2]
    monkeypatch.setattr(code, "tasks", lambda: some)
    first, again, other = (list(code.points(seed, 60)) for seed in (3, 3, 4))
    assert first == again
    assert len({p.name for p in first}) == 60
    assert {p.sample.instruction for p in first} != {p.sample.instruction for p in other}


THREE = Test("3", "3")


def run_one(source: str, test: Test = THREE) -> Result:
    return run("f", [source], [test])[0]


@pytest.mark.parametrize(
    ("body", "gave"),
    [
        ("return n", ""),
        ("return n + 1", "returns 4"),
        ("return 3.0", ""),
        ("return True", "returns True"),
        ("return str(n)", "returns '3'"),
        ("return None", "returns None"),
        ("return print", "returns <built-in function print>"),
        ("return iter([])", "returns another list_iterator"),
        ("return x", "ends with NameError"),
        ("return f(n)", "ends with RecursionError"),
        ("raise SystemExit", "ends with SystemExit"),
        ("while True: n += 1", "does not come to an end"),
        ("print('noise'); return n", ""),
        ("return 'a' * 10 ** 12", "needs more and more memory"),
        ("return n ] 1", "ends with SyntaxError"),
    ],
)
def test_what_a_version_gives(body: str, gave: str) -> None:
    result = run_one(f"def f(n):\n    {body}\n")
    assert (result.gave, result.passed, result.known) == (gave, gave == "", True)


def test_lists_are_compared_by_what_is_in_them() -> None:
    test = Test("[1, 2], {'b': 1}", "[2, {'b': [1]}]")
    good = "def f(a, b):\n    a.pop(0)\n    return (a[0], {'b': (b['b'],)})\n"
    assert run_one(good, test).passed
    assert not run_one(good.replace("b['b'],", "True,"), test).passed


def test_a_version_that_ends_its_process_is_not_counted_and_others_are() -> None:
    ends = "import os\ndef f(n):\n    os._exit(3)\n"
    results = run("f", ["def f(n): return n", ends, "def f(n): return 0"], [Test("3", "3")])
    assert [one.known for one in results] == [True, False, True]
    assert [one.passed for one in results] == [True, False, False]


def test_a_solution_that_fails_here_is_one_clear_error(monkeypatch) -> None:
    task = Task("f", "f", "returns 3", ("def f(n):\n    return 4\n",), (Test("3", "3"),))
    monkeypatch.setattr(code, "tasks", lambda: (task,))
    with pytest.raises(EngineError, match=r"a solution of f fails .*returns 4.*leave code out"):
        list(code.points(0, 3))
    good = replace(task, solutions=("def f(n):\n    return n\n",))
    monkeypatch.setattr(code, "tasks", lambda: (good,))
    assert len(list(code.points(0, 3))) == 3
