"""JavaScript pairs: the same claims as of Python, where there is a Node to run them."""

from __future__ import annotations

import re
import shutil

import pytest

from mene.curate.make import javascript
from mene.curate.make.runs import Test
from mene.curate.raw.sources import Point
from mene.errors import UsageError

BLOCK = re.compile(r"```javascript\n(.*?)\n```", re.S)
needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="no Node here")


@pytest.fixture(scope="module")
def made() -> list[Point]:
    some = javascript.tasks()[::9]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            javascript, "LANGUAGE", javascript.replace(javascript.LANGUAGE, tasks=lambda: some)
        )
        return list(javascript.points(3, 90))


def test_requests_speak_javascript() -> None:
    assert len(javascript.tasks()) >= 40
    for task in javascript.tasks():
        assert f"function {task.name}(" in task.solutions[0]
        assert not re.search(r"\b(True|False|None|dict|lists?|Python)\b", task.does), task.does
        assert "_" not in task.name


@needs_node
def test_solutions_pass_and_mutants_fail(made: list[Point]) -> None:
    for task in javascript.tasks():
        mine = [p for p in made if p.group == f"code:{task.key}" and p.sample.response]
        sources = [found[1] for p in mine if (found := BLOCK.search(p.sample.response or ""))]
        results = javascript.run(task.name, sources, task.tests) if mine else []
        assert all(result.known for result in results)
        assert [result.passed for result in results] == [p.label == "Yes" for p in mine]


@needs_node
def test_form_and_length_do_not_tell(made: list[Point]) -> None:
    right = [p.sample.response or "" for p in made if p.label == "Yes"]
    wrong = [p.sample.response or "" for p in made if p.label == "No"]
    assert len(right) == len(wrong) == 30
    assert sum(map(len, right)) == pytest.approx(sum(map(len, wrong)), rel=0.03)
    assert [BLOCK.sub("", one) for one in right] == [BLOCK.sub("", one) for one in wrong]


@needs_node
@pytest.mark.parametrize(
    ("body", "gave"),
    [
        ("return n;", ""),
        ("return n + 1;", "returns 4"),
        ("return;", "returns undefined"),
        ("return 'a';", 'returns "a"'),
        ("return 0 / 0;", "returns NaN"),
        ("return m;", "ends with ReferenceError"),
        ("return f(n);", "does not come to an end"),
        ("while (true) {\n n += 1;\n }", "does not come to an end"),
        ("process.exit(1);", "ends with ReferenceError"),  # there is no process inside
    ],
)
def test_what_a_version_gives(body: str, gave: str) -> None:
    (result,) = javascript.run("f", [f"function f(n) {{\n  {body}\n}}\n"], [Test("3", "3")])
    assert (result.gave, result.passed, result.known) == (gave, gave == "", True)


@needs_node
def test_what_does_not_parse_is_not_known() -> None:
    (result,) = javascript.run("f", ["function f(n) { return n ] }"], [Test("3", "3")])
    assert not result.known


def test_every_kind_of_change() -> None:
    source = """\
function f(items, low) {
  if (items.length === 0) {
    return null;
  }
  let best = 0;
  for (const item of items) {
    if (item > low) {
      break;
    }
    best = Math.max(best, item + 1);
  }
  return best;
}
"""
    found = {one.source: one.kind for one in javascript.mutants(source)}
    for kind, old, new in (
        ("operator", "item > low", "item >= low"),
        ("constant", "best = 0", "best = 1"),
        ("variable", "item > low", "best > low"),
        ("call", "Math.max", "Math.min"),
        ("branch", "break", "continue"),
        ("edge", "  if (items.length === 0) {\n    return null;\n  }\n", ""),
        ("return", "  return best;", "  best;"),
    ):
        assert found[source.replace(old, new)] == kind
    assert not any("+ 0" in text for text in found)


def test_without_node_it_says_so(monkeypatch) -> None:
    monkeypatch.setattr(javascript, "_node", lambda: None)
    with pytest.raises(UsageError, match=r"no `node` on this machine; install it"):
        javascript.points(0, 3)
