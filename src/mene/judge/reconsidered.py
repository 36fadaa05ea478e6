"""Reconsidered verdicts: the label was chosen again after the critique, and ``first`` keeps the earlier verdict."""

from __future__ import annotations

from mene.verdict import Verdict

# Fields that judging decides, and reconsidering decides anew.
DECISION_FIELDS = (
    "label", "score", "probabilities", "uncalibrated", "threshold", "confidence", "abstained", "likeliest",
)  # fmt: skip


def before_reconsidering(verdict: Verdict) -> Verdict:
    """Return the verdict from before it was reconsidered, without that critique, which may argue for another label."""
    if verdict.first is None:
        return verdict
    changes = {name: getattr(verdict.first, name) for name in DECISION_FIELDS}
    changes |= {"critique": None, "critique_key": "", "first": None}
    return verdict.model_copy(update=changes)
