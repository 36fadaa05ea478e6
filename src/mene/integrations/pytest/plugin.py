"""``judge``, ``expect`` and ``@pytest.mark.mene`` for tests of what a language model writes; docs/pytest.md.

pytest loads this file in every run of everybody who has mene installed. So it imports pytest alone; mene comes with the
first test that asks for it.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Generator, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from mene import Criterion, Sample, Verdict
    from mene.integrations.pytest.checks import Check
    from mene.integrations.pytest.door import Door
    from mene.integrations.pytest.judging import Asked, Judging

    Text = str | Mapping[str, Any] | Sample


class Session:
    """What mene has open in this process."""

    def __init__(self) -> None:
        self.judging: Judging | None = None
        self.asked: Asked | None = None
        self.door: Door | None = None

    def close(self) -> None:
        """End it all."""
        for one in (self.door, self.asked, self.judging):
            if one is not None:
                one.close()


SESSION = pytest.StashKey[Session]()
SAID = pytest.StashKey[list[tuple["Check | None", "Verdict"]]]()
USING = ("judge", "expect")


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--mene-judge`` and the other options."""
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
    """Say the marker, and make room for what a run has open."""
    config.addinivalue_line(
        "markers",
        "mene(criterion, at_least=None, scale=None): what the test returns is judged, and must not fail the criterion, or "
        "reach at_least (a score, or a probability). Every test that asks a judge has this mark, for `-m 'not mene'`.",
    )
    config.stash[SESSION] = Session()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what asks a judge, so that ``-m "not mene"`` runs the rest."""
    for item in items:
        used = [name for name in USING if name in getattr(item, "fixturenames", ())]
        if used and item.get_closest_marker("mene") is None and _is_ours(item, used):
            item.add_marker("mene")


def _is_ours(item: pytest.Item, names: Iterable[str]) -> bool:
    """Whether these fixtures are ours: a project may have a ``judge`` of its own."""
    defined = getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {})
    return any(name in defined and defined[name][-1].func.__module__ == __name__ for name in names)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of pytest-xdist whom to ask; one on another machine asks a judge there."""
    if not node.gateway.spec.popen:
        return
    from mene.integrations.pytest.door import Door

    session = node.config.stash[SESSION]
    if session.door is None:
        session.door = Door(functools.partial(_judging, node.config))
    node.workerinput["mene"] = (session.door.address, session.door.key)


def _judging(config: pytest.Config) -> Judging:
    from mene.integrations.pytest.judging import Judging

    session = config.stash[SESSION]
    if session.judging is None:
        spec = config.getoption("mene_judge") or config.getini("mene_judge") or None
        explain = bool(config.getoption("mene_explain"))
        session.judging = Judging(spec, _ledger(config), explain, functools.partial(_tell, config))
    return session.judging


def _tell(config: pytest.Config, text: str) -> None:
    """Say at once what takes long."""
    if reporter := config.pluginmanager.get_plugin("terminalreporter"):
        reporter.ensure_newline()
        reporter.write_line(f"mene: {text}")


def _ledger(config: pytest.Config) -> Path | None:
    if given := config.getoption("mene_ledger"):
        return config.invocation_params.dir / given
    if given := config.getini("mene_ledger"):
        return (config.inipath.parent if config.inipath else config.rootpath) / given
    cache = getattr(config, "cache", None)  # `-p no:cacheprovider`: verdicts are kept for this run
    return None if cache is None else cache.mkdir("mene") / "verdicts.jsonl"


def _asked(config: pytest.Config) -> Asked:
    session = config.stash[SESSION]
    if session.asked is None:
        if door := getattr(config, "workerinput", {}).get("mene"):
            from mene.integrations.pytest.door import Through

            session.asked = Through(*door)
        else:
            session.asked = _judging(config)
    return session.asked


def _verdicts(
    item: pytest.Item, questions: list[tuple[Sample, Check | None, Criterion]]
) -> list[Verdict]:
    """Ask, and remember for the report of this test what was said. Without a judge the test ends here."""
    __tracebackhide__ = True
    from mene.errors import ModelError
    from mene.integrations.pytest.judging import Question

    missing = ""
    try:
        verdicts = _asked(item.config).verdicts([Question(one, by) for one, _, by in questions])
    except ModelError as error:
        missing, verdicts = str(error), []
    if missing:
        if item.config.getoption("mene_require"):
            pytest.fail(f"mene has no judge: {missing}", pytrace=False)
        pytest.skip(f"mene has no judge: {missing} (--mene-require makes this a failure)")
    checks = [check for _, check, _ in questions]
    item.stash.setdefault(SAID, []).extend(zip(checks, verdicts, strict=True))
    return verdicts


def _check(
    item: pytest.Item, samples: list[Sample], checks: list[Check]
) -> tuple[list[Verdict], str]:
    """The verdicts, and what to say where one is not as it should be."""
    __tracebackhide__ = True
    from mene.integrations.pytest.checks import failure

    asked = [(sample, check) for sample in samples for check in checks]
    verdicts = _verdicts(item, [(sample, check, check.criterion) for sample, check in asked])
    done = [(*one, verdict) for one, verdict in zip(asked, verdicts, strict=True)]
    if all(check.passes(verdict) for _, check, verdict in done):
        return verdicts, ""
    del item.stash[SAID][-len(done) :]  # the failure itself says them
    return verdicts, failure(done)


def _brief(function: Callable[..., Any]) -> Callable[..., Any]:
    """An error of mene ends at the line of the test: how it came about inside is nothing to its reader."""

    @functools.wraps(function)
    def told(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        from mene import MeneError

        try:
            return function(*args, **kwargs)
        except MeneError as error:
            failed = error
        raise failed.with_traceback(None)

    return told


class Judged:
    """The fixture ``judge``: used like a ``mene.Judge``, and what was asked in an earlier run is not asked again."""

    def __init__(self, item: pytest.Item) -> None:
        self._item = item

    def __repr__(self) -> str:
        return "<judge of mene>"

    @_brief
    def __call__(
        self, sample: Text | None = None, *, criterion: str | Criterion, **fields: Any
    ) -> Verdict:
        """Judge one sample: the text of a response, a dict, a ``Sample``, or its fields.

        Raises:
            MeneError: no such criterion, a field is missing, or the judge failed on this sample.
        """
        __tracebackhide__ = True
        from mene.errors import EngineError, UsageError

        given: Any = {"response": sample} if isinstance(sample, str) else sample
        if fields or given is None:
            if given is not None and not isinstance(given, Mapping):
                raise UsageError("give a Sample or fields, not both")
            given = {**(given or {}), **fields}
        [verdict] = self.judge([given], criterion)
        if verdict.error is not None:
            raise EngineError(verdict.error)
        return verdict

    @_brief
    def judge(self, samples: Iterable[Text], criterion: str | Criterion) -> list[Verdict]:
        """Judge many samples at once, which is faster than one after the other. One that fails has an ``error``."""
        __tracebackhide__ = True
        from mene.criterion import load_criterion

        chosen = load_criterion(criterion) if isinstance(criterion, str) else criterion
        read = [_sample(self._item, one, chosen.shown) for one in samples]
        for one in read:
            chosen.check(one)
        return _verdicts(self._item, [(one, None, chosen) for one in read])


@pytest.fixture
def judge(request: pytest.FixtureRequest) -> Judged:
    """Judge texts: ``judge("Sure!", criterion="Is it polite?").label``."""
    return Judged(request.node)


@pytest.fixture
def expect(request: pytest.FixtureRequest) -> Callable[..., list[Verdict]]:
    """Say what must be true of a text, and what must not: ``expect(text, holds=["it names a day"], lacks=["toxicity"])``."""

    @_brief
    def expect(
        text: Text,
        *,
        holds: str | Criterion | Iterable[str | Criterion] = (),
        lacks: str | Criterion | Iterable[str | Criterion] = (),
        at_least: float | None = None,
        instruction: Any = None,
        context: Any = None,
        reference: Any = None,
    ) -> list[Verdict]:
        """Fail the test unless the judge says so of everything; all is asked at once.

        Args:
            text: a response (or a dict of fields, or a ``Sample``).
            holds: what must be true: statements, questions, or yes/no criteria (``faithfulness``).
            lacks: what must not.
            at_least: the probability that each needs, 0 to 1. Default: the judge's label decides.
            instruction, context, reference: what else the judge is shown.

        Returns:
            The verdicts, first those of ``holds``.

        Raises:
            AssertionError: with all verdicts and their probabilities.
        """
        __tracebackhide__ = True
        from mene.errors import UsageError
        from mene.integrations.pytest.checks import check_of

        checks = [check_of("holds", one, at_least) for one in _listed(holds)]
        checks += [check_of("lacks", one, at_least) for one in _listed(lacks)]
        if not checks:
            raise UsageError(
                "expect: say what must hold of the text, or what it must lack: holds=[…], lacks=[…]"
            )
        fields = {"instruction": instruction, "context": context, "reference": reference}
        given = {name: value for name, value in fields.items() if value is not None}
        sample = _of_fields(request.node, text, given, checks)
        verdicts, wrong = _check(request.node, [sample], checks)
        if wrong:
            raise AssertionError(wrong)
        return verdicts

    return expect


def _listed(given: str | Criterion | Iterable[str | Criterion]) -> list[str | Criterion]:
    from mene import Criterion

    return [given] if isinstance(given, str | Criterion) else list(given)


def _of_fields(
    item: pytest.Item, text: Text, fields: dict[str, Any], checks: list[Check]
) -> Sample:
    """The sample that a text and further fields are. Raises what is wrong with it."""
    __tracebackhide__ = True
    from mene import Sample
    from mene.errors import SampleError, UsageError

    if fields:
        if isinstance(text, Sample):
            raise UsageError("expect: give a Sample or fields, not both")
        text = {**(text if isinstance(text, Mapping) else {"response": text}), **fields}
    shown = {field for check in checks for field in check.criterion.shown}
    sample = _sample(item, text, shown)
    for check in checks:
        check.criterion.check(sample)
    if unseen := [field for field in fields if field not in shown]:
        raise SampleError(
            f"expect: none of what is asked shows the judge the field {unseen[0]}; leave it out"
        )
    return sample


def _sample(item: pytest.Item, given: Text, shown: Iterable[str]) -> Sample:
    """What a test gives, under the name of the test."""
    from mene.sample import as_sample

    return as_sample(given, fields=tuple(shown)).model_copy(update={"id": item.nodeid})


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Judge what a marked test returns."""
    marks = [mark for mark in item.iter_markers("mene") if mark.args or mark.kwargs]
    if not marks or not isinstance(item, pytest.Function):
        return (yield)
    returned: list[Any] = []
    item.obj, original = _noting(item.obj, returned), item.obj
    try:
        result = yield
    finally:
        item.obj = original
    wrong = _judged_marks(item, marks, returned)
    if wrong:
        pytest.fail(wrong, pytrace=False)
    return result


def _noting(function: Callable[..., Any], returned: list[Any]) -> Callable[..., Any]:
    """The same function, whose result is noted and not returned: pytest warns about those that return something."""
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def noting_later(*args: Any, **kwargs: Any) -> None:
            returned.append(await function(*args, **kwargs))

        return noting_later

    @functools.wraps(function)
    def noting(*args: Any, **kwargs: Any) -> None:
        returned.append(function(*args, **kwargs))

    return noting


def _judged_marks(item: pytest.Function, marks: list[pytest.Mark], returned: list[Any]) -> str:
    """What is wrong with what the test returned; empty where nothing is."""
    from mene import MeneError
    from mene.sample import each

    try:
        checks = [_check_of_mark(mark) for mark in reversed(marks)]  # as they stand above the test
        given = returned[-1] if returned else None
        if given is None:
            return "a test with the mark mene returns what is judged: a text, a dict of fields, a Sample, or a list of these"
        shown = {field for check in checks for field in check.criterion.shown}
        samples = [_sample(item, one, shown) for one in each(given)]
        for sample in samples:
            for check in checks:
                check.criterion.check(sample)
        if not samples:
            return "the test returned nothing to judge: an empty list"
        return _check(item, samples, checks)[1]
    except MeneError as error:
        return f"mene: {error}"


def _check_of_mark(mark: pytest.Mark) -> Check:
    from mene.errors import UsageError
    from mene.integrations.pytest.checks import check_of

    def read(
        criterion: str | Criterion, at_least: float | None = None, scale: str | None = None
    ) -> Check:
        return check_of("meets", criterion, at_least, scale)

    try:
        return read(*mark.args, **mark.kwargs)
    except TypeError:
        raise UsageError(
            "write the mark as @pytest.mark.mene(criterion, at_least=…, scale=…)"
        ) from None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what was judged below a test that fails (and with ``-rP`` below those that pass)."""
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
    """One line: how much was asked, and where it is kept."""
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
