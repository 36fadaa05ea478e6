"""Common functions of all integrations: open a judge once, read a criterion, judge one sample, explain a failure."""

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
    """Return a judge: the given one, or one opened by name and cached, so that ten metrics share one model.

    Raises:
        UsageError: no such judge.
        ModelError: its weights are missing; the message says how to get them.
    """
    if given is not None and not isinstance(given, str):
        return given
    with _lock:
        if given not in _opened:
            _opened[given] = opened = Judge(given, load=False)
            atexit.register(opened.close)
        return _opened[given]


def criterion_of(given: str | Criterion, scale: str | None = None) -> Criterion:
    """Return a criterion: the given one, or one by name, file or question.

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
        explain: add a critique to a failing verdict (if the judge can write).

    Raises:
        SampleError: a field that the criterion needs is missing.
        UsageError: ``explain`` with a judge that writes no critiques.
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
    """Return the criterion if it compares two responses; else raise ``UsageError``."""
    if criterion.scale.kind != "pairwise":
        raise UsageError(
            f"{criterion.name} has the scale {criterion.scale}; to compare two responses give a criterion with a/b or a/b/tie, "
            "like preference"
        )
    return criterion


def win(verdict: Verdict) -> float:
    """Return the probability that response A is better, 0 to 1; a tie counts half."""
    if verdict.probabilities is None:
        return {"A": 1.0, "B": 0.0}.get(verdict.label or "", 0.5)
    return verdict.probabilities["A"] + 0.5 * verdict.probabilities.get("tie", 0.0)
