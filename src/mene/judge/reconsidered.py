"""A verdict whose label was read again behind its critique, and what it was before."""

from __future__ import annotations

from mene.verdict import Verdict

# What a verdict decides, and what a reconsidered one decides anew.
DECISION_FIELDS = (
    "label", "score", "probabilities", "uncalibrated", "threshold", "confidence", "abstained", "likeliest",
)  # fmt: skip


def before_reconsidering(verdict: Verdict) -> Verdict:
    """The verdict as it was before its label was read again; without that critique, which may argue for another one."""
    if verdict.first is None:
        return verdict
    changes = {name: getattr(verdict.first, name) for name in DECISION_FIELDS}
    changes |= {"critique": None, "critique_key": "", "first": None}
    return verdict.model_copy(update=changes)
