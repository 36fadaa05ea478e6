"""``judge``, ``expect`` and ``@pytest.mark.mene`` for tests of what a language model writes; docs/pytest.md.

pytest loads this file in every run wherever mene is installed. So it imports pytest only (as ``session.py`` does); mene is
imported with the first test that uses it.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mene.integrations.pytest.session import SAID, SESSION, Session, judging_of

if TYPE_CHECKING:
    from mene.integrations.pytest.asking import Expect, Judged


USING = ("judge", "expect")
OURS = pytest.StashKey[bool]()  # the mark of a test is ours, not its author's
UNNAMED = (
    "the test returns something to judge, but its mark names no criterion; write @pytest.mark.mene(criterion), "
    "or return nothing"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--mene-judge`` and the other options."""
    group = parser.getgroup("mene", "texts judged by a language model (mene)")
    judge = "judge: nano, base, a preset file, openai:MODEL@URL, …"
    group.addoption(
        "--mene-judge", metavar="JUDGE", help=f"{judge} [mene_judge, MENE_JUDGE, or base]"
    )
    group.addoption(
        "--mene-require", action="store_true", help="fail, not skip, where there is no judge"
    )
    group.addoption(
        "--mene-explain", action="store_true", help="write why, for verdicts that fail (slow)"
    )
    group.addoption(
        "--mene-ledger", metavar="FILE", help="where verdicts are kept [in .pytest_cache]"
    )
    parser.addini("mene_judge", judge)
    parser.addini("mene_ledger", "where verdicts are kept, from the folder of this file")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and attach an empty session to the run."""
    config.addinivalue_line(
        "markers",
        "mene(criterion, at_least=None, scale=None): what the test returns is judged, and must not fail the criterion, or "
        "reach at_least (a score, or a probability). Every test that asks a judge has this mark, for `-m 'not mene'`.",
    )
    config.stash[SESSION] = Session()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that use a judge, so that ``-m "not mene"`` runs the others."""
    for item in items:
        used = [name for name in USING if name in getattr(item, "fixturenames", ())]
        if used and item.get_closest_marker("mene") is None and _is_ours(item, used):
            item.add_marker("mene")
            item.stash[OURS] = True


def _is_ours(item: pytest.Item, names: Iterable[str]) -> bool:
    """Return whether these fixtures are mene's: a project may have its own ``judge``."""
    defined = getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {})
    return any(name in defined and defined[name][-1].func.__module__ == __name__ for name in names)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Pass the judge's address to a worker of pytest-xdist; a worker on another machine opens its own judge."""
    if not node.gateway.spec.popen:
        return
    from mene.integrations.pytest.door import Door

    session = node.config.stash[SESSION]
    if session.door is None:
        try:
            session.door = Door(functools.partial(judging_of, node.config))
        except (
            OSError
        ):  # the folder for sockets has too long a path: each worker opens its own judge
            return
    node.workerinput["mene"] = (session.door.address, session.door.key)


@pytest.fixture
def judge(request: pytest.FixtureRequest) -> Judged:
    """Judge texts: ``judge("Sure!", criterion="Is it polite?").label``."""
    from mene.integrations.pytest.asking import Judged

    return Judged(request.node)


@pytest.fixture
def expect(request: pytest.FixtureRequest) -> Expect:
    """Say what must be true of a text, and what must not: ``expect(text, holds=["it names a day"], lacks=["toxicity"])``."""
    from mene.integrations.pytest.asking import Expect

    return Expect(request.node)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Judge what a marked test returns. A mark without a criterion only selects tests (``-m``): they return nothing."""
    there = [] if item.stash.get(OURS, False) else list(item.iter_markers("mene"))
    marks = [mark for mark in there if mark.args or mark.kwargs]
    if not there or not isinstance(item, pytest.Function):
        return (yield)
    returned: list[Any] = []
    item.obj, original = _noting(item.obj, returned), item.obj
    try:
        result = yield
    finally:
        item.obj = original
    if not marks:
        if any(one is not None for one in returned):
            pytest.fail(UNNAMED, pytrace=False)
        return result
    from mene.integrations.pytest.asking import judged_marks

    wrong = judged_marks(item, marks, returned)
    if wrong:
        pytest.fail(wrong, pytrace=False)
    return result


def _noting(function: Callable[..., Any], returned: list[Any]) -> Callable[..., Any]:
    """Return the function with its result stored, not returned: pytest warns about tests that return a value."""
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def noting_later(*args: Any, **kwargs: Any) -> None:
            returned.append(await function(*args, **kwargs))

        return noting_later

    @functools.wraps(function)
    def noting(*args: Any, **kwargs: Any) -> None:
        returned.append(function(*args, **kwargs))

    return noting


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the verdicts below a failed test (with ``-rP`` also below passed ones)."""
    report = yield
    if said := item.stash.get(SAID, None):
        from mene.integrations.pytest.checks import line_of

        report.sections.append(
            (f"judged by {said[0][1].judge}", "\n".join(line_of(*one) for one in said))
        )
        if report.when == "call":
            del item.stash[SAID]
    return report


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print one line: the number of verdicts, and where they are stored."""
    judging = config.stash[SESSION].judging
    if judging is None or not (judging.asked or judging.reused or judging.warnings):
        return
    for text in judging.warnings:
        terminalreporter.write_line(f"mene: {text}", yellow=True)
    if judging.asked or judging.reused:
        total, path = judging.asked + judging.reused, judging.ledger.path
        kept = f", kept in {_short(path, config)}" if path else ""
        verdicts = f"{total} verdict{'s' * (total != 1)}"
        terminalreporter.write_line(
            f"mene: {verdicts} by {judging.name}: {judging.asked} asked, {judging.reused} known{kept}"
        )


def _short(path: Path, config: pytest.Config) -> str:
    folder = config.invocation_params.dir
    return str(path.relative_to(folder) if path.is_relative_to(folder) else path)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Free the model."""
    if session := config.stash.get(SESSION, None):
        session.close()
