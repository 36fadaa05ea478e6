"""The work of the fixtures and the mark: judge, record verdicts for the report, and fail with all verdicts."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytest

from mene import Criterion, MeneError, Sample, Verdict
from mene.criterion import load_criterion
from mene.errors import EngineError, ModelError, SampleError, UsageError
from mene.integrations.pytest.checks import Check, check_of, failure
from mene.integrations.pytest.judging import Question
from mene.integrations.pytest.session import SAID, asked_of
from mene.sample import as_sample, each

Text = str | Mapping[str, Any] | Sample


def _verdicts(
    item: pytest.Item, questions: list[tuple[Sample, Check | None, Criterion]]
) -> list[Verdict]:
    """Return verdicts, which are also recorded for the report of this test. Without a judge the test ends here."""
    __tracebackhide__ = True
    missing = ""
    try:
        verdicts = asked_of(item.config).verdicts([Question(one, by) for one, _, by in questions])
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
    """Return the verdicts, and a message if one is not as expected."""
    __tracebackhide__ = True
    asked = [(sample, check) for sample in samples for check in checks]
    verdicts = _verdicts(item, [(sample, check, check.criterion) for sample, check in asked])
    done = [(*one, verdict) for one, verdict in zip(asked, verdicts, strict=True)]
    if all(check.passes(verdict) for _, check, verdict in done):
        return verdicts, ""
    del item.stash[SAID][-len(done) :]  # the failure message shows them
    return verdicts, failure(done)


def brief(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function with mene's errors raised from the line of the test, without the traceback inside mene."""

    @functools.wraps(function)
    def told(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        try:
            return function(*args, **kwargs)
        except MeneError as error:
            failed = error
        raise failed.with_traceback(None)

    return told


class Judged:
    """The fixture ``judge``: used like a ``mene.Judge``, but verdicts of earlier runs are reused."""

    def __init__(self, item: pytest.Item) -> None:
        self._item = item

    def __repr__(self) -> str:
        return "<judge of mene>"

    @brief
    def __call__(
        self, sample: Text | None = None, *, criterion: str | Criterion, **fields: Any
    ) -> Verdict:
        """Return the verdict on one sample: the text of a response, a dict, a ``Sample``, or its fields.

        Raises:
            MeneError: no such criterion, a field is missing, or the judge failed on this sample.
        """
        __tracebackhide__ = True
        given: Any = {"response": sample} if isinstance(sample, str) else sample
        if fields or given is None:
            if given is not None and not isinstance(given, Mapping):
                raise UsageError("give a Sample or fields, not both")
            given = {**(given or {}), **fields}
        chosen = _criterion(criterion)
        read = _sample(self._item, given, chosen.shown)
        chosen.check(read)
        [verdict] = _verdicts(self._item, [(read, None, chosen)])
        if verdict.error is not None:
            raise EngineError(verdict.error)
        return verdict

    @brief
    def judge(self, samples: Iterable[Text], criterion: str | Criterion) -> list[Verdict]:
        """Return verdicts on many samples, which is faster than one by one. A failed one has an ``error``."""
        __tracebackhide__ = True
        chosen = _criterion(criterion)
        read = [_sample(self._item, one, chosen.shown) for one in each(samples)]
        return _verdicts(self._item, [(one, None, chosen) for one in read])


class Expect:
    """The fixture ``expect``."""

    def __init__(self, item: pytest.Item) -> None:
        self._item = item

    def __repr__(self) -> str:
        return "<expect of mene>"

    @brief
    def __call__(
        self,
        text: Text,
        *,
        holds: str | Criterion | Iterable[str | Criterion] = (),
        lacks: str | Criterion | Iterable[str | Criterion] = (),
        at_least: float | None = None,
        instruction: Any = None,
        context: Any = None,
        reference: Any = None,
        uses: Iterable[str] | None = None,
    ) -> list[Verdict]:
        """Fail the test unless the judge confirms all expectations, which are judged in one batch.

        Args:
            text: a response (or a dict of fields, or a ``Sample``).
            holds: what must be true: statements, questions, or yes/no criteria (``faithfulness``).
            lacks: what must not be true.
            at_least: minimum probability of each, 0 to 1. Default: the judge's label decides.
            instruction, context, reference: further fields of the sample.
            uses: which of them statements and questions in words show the judge. Default: all. A small judge often says whether
                the context supports the text, whatever is asked; ``uses=[]`` shows the text alone.

        Returns:
            The verdicts, first those of ``holds``.

        Raises:
            AssertionError: with all verdicts and their probabilities.
        """
        __tracebackhide__ = True
        of = None if uses is None else list(uses)
        checks = [check_of("holds", one, at_least, uses=of) for one in _listed(holds)]
        checks += [check_of("lacks", one, at_least, uses=of) for one in _listed(lacks)]
        if not checks:
            raise UsageError(
                "expect: say what must hold of the text, or what it must lack: holds=[…], lacks=[…]"
            )
        fields = {"instruction": instruction, "context": context, "reference": reference}
        given = {name: value for name, value in fields.items() if value is not None}
        sample = _of_fields(self._item, text, given, checks)
        verdicts, wrong = _check(self._item, [sample], checks)
        if wrong:
            raise AssertionError(wrong)
        return verdicts


def _criterion(given: str | Criterion) -> Criterion:
    return load_criterion(given) if isinstance(given, str) else given


def _listed(given: str | Criterion | Iterable[str | Criterion]) -> list[str | Criterion]:
    return [given] if isinstance(given, str | Criterion) else list(given)


def _of_fields(
    item: pytest.Item, text: Text, fields: dict[str, Any], checks: list[Check]
) -> Sample:
    """Return the sample of a text and further fields. Raises an error if it is not valid."""
    __tracebackhide__ = True
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
            f"expect: no statement here shows the judge the field {unseen[0]}; leave it out"
        )
    return sample


def _sample(item: pytest.Item, given: Text, shown: Iterable[str]) -> Sample:
    """Return the given sample, with the name of the test as its id."""
    return as_sample(given, fields=tuple(shown)).model_copy(update={"id": item.nodeid})


def judged_marks(item: pytest.Function, marks: list[pytest.Mark], returned: list[Any]) -> str:
    """Return what is wrong with the result of a marked test; empty if nothing is."""
    try:
        checks = [_check_of_mark(mark) for mark in reversed(marks)]  # as written above the test
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
