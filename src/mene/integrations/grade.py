"""A verdict as one number from 0 (fails) to 1, as other tools store it and apply thresholds."""

from __future__ import annotations

from mene import Criterion, Verdict
from mene.errors import EngineError, UsageError


def grade(verdict: Verdict, criterion: Criterion) -> float:
    """Return how good the judged sample is, 0 to 1.

    On an ordinal scale: the position of the expected score between the lowest label (0) and the highest (1), reversed where the
    criterion says that high labels fail. For classes: the probability of the labels that do not fail. Without probabilities,
    0 or 1.

    Raises:
        EngineError: the verdict has no label.
        UsageError: the criterion does not say which labels fail.
    """
    if verdict.label is None:
        raise EngineError(no_label(verdict))
    labels, failing = criterion.scale.labels, criterion.failing or ()
    if criterion.scale.kind == "ordinal":
        low, high = criterion.scale.values[0], criterion.scale.values[-1]
        score = verdict.score
        if score is None:
            score = criterion.scale.values[labels.index(verdict.label)]
        share = min(1.0, max(0.0, (score - low) / (high - low)))
        return 1 - share if labels[-1] in failing and labels[0] not in failing else share
    if not failing:
        raise UsageError(
            f"{criterion.name} does not say which labels fail, so its verdicts cannot become numbers; write `failing:` with "
            "these labels in a criterion of your own"
        )
    if verdict.probabilities is None:
        return float(verdict.label not in failing)
    return min(1.0, sum(p for label, p in verdict.probabilities.items() if label not in failing))


def fails(verdict: Verdict, criterion: Criterion) -> bool:
    """Return whether its label means that something is wrong."""
    return verdict.label in (criterion.failing or ())


def reason(verdict: Verdict) -> str:
    """Return label and probabilities in one line, followed by the critique, if any."""
    said = said_of(verdict)
    return f"{said}\n{verdict.critique}" if verdict.critique else said


def said_of(verdict: Verdict) -> str:
    """Return a verdict in one line: ``No (Yes 0.17, No 0.83)``."""
    if verdict.label is None:
        return no_label(verdict)
    if verdict.probabilities is None:
        return verdict.label
    each = ", ".join(f"{label} {p:.2f}" for label, p in verdict.probabilities.items())
    score = f", score {verdict.score:.2f}" if verdict.score is not None else ""
    return f"{verdict.label} ({each}{score})"


def no_label(verdict: Verdict) -> str:
    """Return why there is no label."""
    if verdict.abstained:
        return f"left to a person: not sure enough of {verdict.likeliest}"
    return f"no verdict: {verdict.error}"
