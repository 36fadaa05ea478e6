"""Every block of Python in the pages is compiled and run: that of the README by nano, others by a played engine."""

from __future__ import annotations

import ast
import doctest
import re
import shutil
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

from mene.judge.open import open_engine
from tests.docs.written import ROOT, Written, written

PYTHON = [one for one in written() if one.block.language == "python"]
ELSEWHERE = {  # page -> what runs its blocks
    "docs/pytest.md": "tests/integrations/test_pytest_plugin.py",
    "docs/integrations.md": "tests/integrations/test_documented.py",
}
NOT_RUN = {  # what a block imports first -> why it is compiled and no more
    "deepeval": "needs the package deepeval, and a judge that writes JSON for some minutes",
    "openai": "needs the package ragas, and a judge that writes JSON for some minutes",
}
REAL = "README.md"  # by nano itself, which is slow
HERE = [one for one in PYTHON if one.page not in ELSEWHERE]
CONSOLE = [one for one in written() if one.block.language == "pycon"]


def first_import(code: str) -> str:
    return (re.findall(r"^(?:from|import) (\w+)", code, flags=re.M) or [""])[0]


@pytest.fixture
def place(toy, tmp_path, monkeypatch) -> Path:
    """A folder with the files that the blocks read, where ``Judge()`` is nano, played."""
    for name in ("answers.jsonl", "rag.jsonl"):
        shutil.copy(ROOT / "examples" / "rag.jsonl", tmp_path / name)
    (tmp_path / "checks.yaml").write_text('criteria: [tone, "Is the reply polite?"]\n')
    verdict = '{{"id": "{0}", "criterion": "faithfulness", "judge": "nano", "label": "Yes", "key": "{0:032x}", "row": {0}, "content": "{0:016x}"}}\n'
    (tmp_path / "answers.verdicts.jsonl").write_text(
        "".join(verdict.format(n) for n in range(1, 9))
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mene.judge.judge.open_engine", lambda *_, **__: toy)
    monkeypatch.setattr("mene.judge.judge.default_judge", lambda: ("nano", None))
    return tmp_path


@pytest.mark.parametrize("one", PYTHON, ids=str)
def test_a_block_is_python(one: Written) -> None:
    compile(one.block.code, str(one), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


@pytest.mark.parametrize(
    "one", [one for one in HERE if first_import(one.block.code) not in NOT_RUN], ids=str
)
def test_a_block_runs(one: Written, place, monkeypatch) -> None:
    if one.page == REAL:
        monkeypatch.setattr("mene.judge.judge.open_engine", open_engine)
    said = StringIO()
    with redirect_stdout(said):
        exec(compile(one.block.code, str(one), "exec"), {"__name__": "block"})
    assert said.getvalue().strip() or "print(" not in one.block.code


class Masked(doctest.OutputChecker):
    """What another processor may answer otherwise counts as the same: labels, and digits of a probability."""

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        return masked(want) == masked(got)


def masked(text: str) -> str:
    return re.sub(r"\b(?:Yes|No) *", "LABEL ", re.sub(r"\b0\.\d+ *", "0.? ", text))


@pytest.mark.parametrize("one", CONSOLE, ids=str)
def test_a_session_says_what_is_written(one: Written, place) -> None:
    import polars

    import mene

    test = doctest.DocTestParser().get_doctest(
        one.block.code, {"polars": polars, "mene": mene}, str(one), one.page, one.block.line
    )
    said: list[str] = []
    with polars.Config(tbl_width_chars=100):
        doctest.DocTestRunner(Masked(), verbose=False).run(test, out=said.append)
    assert test.examples and not said, "".join(said)


def test_a_session_that_is_wrong_is_found() -> None:
    assert not Masked().check_output("3\n", "4\n", 0)
    assert Masked().check_output("No {'Yes': 0.24}\n", "Yes {'Yes': 0.5123}\n", 0)


def test_every_reason_is_needed() -> None:
    assert CONSOLE and set(ELSEWHERE) <= {one.page for one in PYTHON}
    assert all((ROOT / path).is_file() for path in ELSEWHERE.values())
    assert set(NOT_RUN) <= {first_import(one.block.code) for one in HERE}
