"""One verdict from several: both orders of a pair, several draws, several jurors.

The rule is always the mean of the probabilities. (Two responses judged alone have a rule of their own, see
``comparison.py``.) Without probabilities, a label counts as a probability of 1, and a note in the verdict says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mene.engines.base import Completion, best
from mene.scale import Scale
from mene.verdict import Usage, Verdict

VOTES = "probabilities are shares of votes"
SAME_TEXT = "both responses are the same text: there is nothing to choose"


def meant(completion: Completion, written: Sequence[str], labels: Sequence[str]) -> Completion:
    """Return a completion in the labels of the scale, where the template writes them differently."""
    if tuple(written) == tuple(labels) or completion.error is not None:
        return completion
    names = dict(zip(written, labels, strict=True))
    probabilities = completion.probabilities
    if probabilities is not None:
        probabilities = {names[text]: value for text, value in probabilities.items()}
    label = names[completion.label] if completion.label is not None else None
    return replace(completion, label=label, probabilities=probabilities)


def verdict_of(completion: Completion, scale: Scale) -> Verdict:
    """Return a completion as a verdict."""
    verdict = Verdict(
        critique=completion.critique,
        usage=completion.usage,
        latency_s=round(completion.latency_s, 4),
        notes=list(completion.notes),
    )
    if completion.error is not None:
        verdict.error = str(completion.error)
        return verdict
    probabilities, label = completion.probabilities, completion.label
    if probabilities is None:
        verdict.label = label
        if label is not None and scale.kind == "ordinal":
            verdict.score = scale.values[scale.labels.index(label)]
        return verdict
    return with_probabilities(verdict, probabilities, scale)


def with_probabilities(verdict: Verdict, probabilities: dict[str, float], scale: Scale) -> Verdict:
    """Set a verdict's probabilities, and the label, score and confidence that follow from them."""
    label = best(probabilities)
    return verdict.say(
        probabilities=probabilities,
        label=label,
        confidence=probabilities[label],
        score=scale.expected(probabilities),
    )


def with_threshold(verdict: Verdict, label: str, at: float) -> Verdict:
    """Choose ``label`` where its probability is at least ``at``, else the likeliest other label. Probabilities stay
    unchanged."""
    probabilities = verdict.probabilities or {}
    others = {k: p for k, p in probabilities.items() if k != label}
    chosen = label if probabilities.get(label, 0.0) >= at or not others else best(others)
    return verdict.say(threshold={label: at}, label=chosen, confidence=probabilities[chosen])


def abstained(verdict: Verdict) -> Verdict:
    """Return the verdict without label and score; ``likeliest`` holds the label that would have been given."""
    changes = {"label": None, "score": None, "likeliest": verdict.label, "abstained": True}
    return verdict.model_copy(update=changes)


def decided(verdict: Verdict, scale: Scale) -> Verdict:
    """Return the verdict with its label restored where the judge had abstained."""
    if not verdict.abstained:
        return verdict
    label, score = verdict.likeliest, None
    if verdict.probabilities is not None:
        score = scale.expected(verdict.probabilities)
    elif label is not None and scale.kind == "ordinal":
        score = scale.values[scale.labels.index(label)]
    changes = {"label": label, "score": score, "likeliest": None, "abstained": False}
    return verdict.model_copy(update=changes)


def gathered(parts: Sequence[Verdict], what: str) -> Verdict:
    """Return a verdict with the sums of its parts' usage, and the first error among them; it is not concluded yet.

    Args:
        what: a plural noun for the parts, used in messages.
    """
    whole = Verdict(
        usage=sum((p.usage for p in parts), Usage()),
        latency_s=round(sum(p.latency_s for p in parts), 4),
        parts=list(parts),
    )
    errors = [p.error for p in parts if p.error is not None]
    if errors:
        whole.error = f"{len(errors)} of {len(parts)} {what} failed; the first: {errors[0]}"
    return whole


def combine(parts: Sequence[Verdict], scale: Scale) -> Verdict:
    """Return the mean of ``parts``. A single part is returned unchanged; an error in one part is the result's error.

    Args:
        parts: verdicts on one sample, all with the responses in the same order.
    """
    if len(parts) == 1:
        return parts[0]
    whole = gathered(parts, "parts")
    if whole.error is not None:
        return whole
    if any(p.probabilities is None or VOTES in p.notes for p in parts):
        whole.notes.append(VOTES)
    with_probabilities(whole, shares(parts, scale), scale)
    if all(SAME_TEXT in p.notes for p in parts):  # all jurors
        whole.notes.append(SAME_TEXT)
    agreeing = [p for p in parts if p.label == whole.label and p.critique is not None]
    if agreeing:  # show the critique of the part that is surest of the common label
        spoken = max(agreeing, key=lambda p: p.confidence or 0.0)
        whole.critique = spoken.critique
        whole.notes += [note for note in spoken.notes if note not in whole.notes]
    return whole


def even(verdict: Verdict, scale: Scale) -> Verdict:
    """Return the verdict on a pair of identical responses: a tie where ``scale`` has one, else probability 1/2 each; with a
    note.

    The model's own probabilities would show nothing but its position bias. ``consistent`` is None.
    """
    if verdict.error is not None:
        return verdict
    none = ("uncalibrated", "consistent", "threshold", "likeliest")
    whole = verdict.model_copy(update={**dict.fromkeys(none), "abstained": False})
    tie = "tie" in scale.labels
    fair = {label: float(label == "tie") if tie else 0.5 for label in scale.labels}
    whole = with_probabilities(whole, fair, scale)
    whole.notes = [*verdict.notes, SAME_TEXT]
    return whole


def shares(parts: Sequence[Verdict], scale: Scale) -> dict[str, float]:
    """Return the mean of the parts' probabilities, where a part without any counts 1 for its label."""
    each = [p.probabilities or {p.label: 1.0} for p in parts]
    return {label: sum(e.get(label, 0.0) for e in each) / len(each) for label in scale.labels}
