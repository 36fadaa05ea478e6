"""What all tools do: open a judge once, read a criterion, judge one sample, and give the reason where one is asked for."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Mapping
from typing import Any

from mene import Criterion, Judge, Sample, Verdict
from mene.criterion import load_criterion
from mene.errors import EngineError, UsageError
from mene.integrations.grade import fails, no_label

_opened: dict[str | None, Judge] = {}
_lock = threading.Lock()


def judge_of(given: str | Judge | None) -> Judge:
    """A judge: itself, or one that is opened by its name and kept, so that ten metrics hold one model.

    Raises:
        UsageError: no such judge.
        ModelError: its weights are missing, and how to get them.
    """
    if given is not None and not isinstance(given, str):
        return given
    with _lock:
        if given not in _opened:
            _opened[given] = opened = Judge(given, load=False)
            atexit.register(opened.close)
        return _opened[given]


def criterion_of(given: str | Criterion, scale: str | None = None) -> Criterion:
    """A criterion: itself, or by its name, file or question.

    Raises:
        UsageError: no such criterion or scale.
    """
    if isinstance(given, Criterion):
        return given
    return load_criterion(given, scale)


def ask(
    judge: Judge,
    sample: Sample | Mapping[str, Any],
    criterion: Criterion,
    *,
    explain: bool = False,
) -> Verdict:
    """Judge one sample.

    Args:
        explain: a verdict that fails gets a critique (by a judge that can write one).

    Raises:
        SampleError: a field that the criterion needs is missing.
        UsageError: ``explain`` of a judge that writes none.
        EngineError: the judge failed on this sample, or leaves it to a person.
    """
    if not isinstance(sample, Sample):
        sample = Sample.from_row(sample, fields=criterion.shown)
    verdict = judge(sample, criterion=criterion)
    if verdict.label is None:
        raise EngineError(no_label(verdict))
    if explain and verdict.critique is None and fails(verdict, criterion):
        return judge.explain(sample, verdict, criterion)
    return verdict


def seats(criterion: Criterion) -> Criterion:
    """The criterion, if it compares two responses. Raises ``UsageError`` where it does not."""
    if criterion.scale.kind != "pairwise":
        raise UsageError(
            f"{criterion.name} has the scale {criterion.scale}; to compare two responses give a criterion with a/b or a/b/tie, "
            "like preference"
        )
    return criterion


def win(verdict: Verdict) -> float:
    """How likely response A is the better one, 0 to 1; a tie is half of it."""
    if verdict.probabilities is None:
        return {"A": 1.0, "B": 0.0}.get(verdict.label or "", 0.5)
    return verdict.probabilities["A"] + 0.5 * verdict.probabilities.get("tie", 0.0)
