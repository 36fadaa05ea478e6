"""What a judge's calibrations, their thresholds and ``abstain`` make of what the model said.

None of it is part of a verdict's key: a verdict keeps what the model said, and is what today's calibration makes of it.
"""

from __future__ import annotations

from dataclasses import dataclass

from mene.criterion import Criterion
from mene.engines.base import best
from mene.errors import UsageError
from mene.judge.calibration import Alone, Calibration, choose
from mene.judge.claims import is_by_claims, joined, weakest
from mene.judge.combine import (
    SAME_TEXT,
    abstained,
    decided,
    with_probabilities,
    with_threshold,
)
from mene.judge.preset import Preset
from mene.judge.reconsidered import before_reconsidering
from mene.verdict import Verdict

# What a verdict has of the claims that it was joined from.
JOINED = ("label", "score", "probabilities", "uncalibrated", "threshold", "confidence", "parts")
# What is decided of a verdict.
DECIDED = ("label", "probabilities", "threshold", "abstained")


@dataclass(frozen=True, slots=True)
class Decider:
    """Decides by a preset; ``template`` is the identity of the one that it asks with."""

    preset: Preset
    template: str

    def calibration(self, criterion: Criterion) -> Calibration | None:
        """The calibration for a criterion, if the judge has one that fits."""
        known, preset = self.preset.calibrations, self.preset
        if not known:
            return None
        return choose(known, criterion, preset.mode, self.template, preset.compare)

    def alone(self, criterion: Criterion) -> Alone | None:
        """See ``Judge.alone``."""
        found = self.calibration(criterion)
        return None if found is None else found.alone

    def calibrated(self, verdict: Verdict, criterion: Criterion) -> Verdict:
        """See ``AnyJudge.calibrated``."""
        if verdict.error is not None:
            return verdict
        if is_by_claims(verdict):
            return self._by_claims(verdict, criterion)
        given = verdict
        if verdict.first is not None and self.preset.abstain:
            verdict = before_reconsidering(verdict)  # of labels read later nothing is proved
        if verdict.first is not None:  # what was read behind a critique stays what it is
            first = self.calibrated(verdict.first, criterion)
            if first is verdict.first:
                return verdict
            return verdict.model_copy(update={"first": first, "revision": verdict.revision + 1})
        if SAME_TEXT in verdict.notes or self._stands(verdict, criterion):
            return verdict
        new = self._decided(verdict, criterion)
        changed = any(getattr(new, name) != getattr(given, name) for name in DECIDED)
        if not changed and verdict is given:
            return given
        new.revision += bool(verdict.key)
        said, says = (v.label or v.likeliest for v in (verdict, new))
        if says != said and verdict.critique_key:  # it argues for the other label
            new.critique, new.critique_key = None, ""
        return new

    def _by_claims(self, verdict: Verdict, criterion: Criterion) -> Verdict:
        """Each claim under the calibration of today, joined anew."""
        parts = [self.calibrated(part, criterion) for part in verdict.parts]
        if all(new is old for new, old in zip(parts, verdict.parts, strict=True)):
            return verdict
        whole = joined(parts, criterion)
        new = verdict.model_copy(update={name: getattr(whole, name) for name in JOINED})
        new.revision += bool(verdict.key)
        if not verdict.critique_key:  # each claim has its own
            new.critique = whole.critique
        elif weakest(parts, criterion) != weakest(verdict.parts, criterion):  # it is about another
            new.critique, new.critique_key = None, ""
        return new

    def _stands(self, verdict: Verdict, criterion: Criterion) -> bool:
        """Is there nothing to decide, as of most verdicts: no calibration, now or then, and nobody abstains?"""
        if self.preset.abstain or verdict.abstained or verdict.uncalibrated or verdict.threshold:
            return False
        given = verdict.probabilities
        likeliest = given is None or verdict.label == best(given)
        return likeliest and self.calibration(criterion) is None

    def _decided(self, verdict: Verdict, criterion: Criterion) -> Verdict:
        """A copy with what the calibration of today, its threshold and ``abstain`` make of what the model said."""
        new = decided(verdict, criterion.scale).model_copy()
        found = self.calibration(criterion)
        raw = verdict.uncalibrated or verdict.probabilities
        if raw is not None:
            applied = raw if found is None else found.apply(raw)
            with_probabilities(new, applied, criterion.scale)
            new.uncalibrated = None if applied == raw else raw
            new.threshold = None
            if found is not None and found.threshold is not None:
                with_threshold(new, found.threshold.label, found.threshold.at)
        if not self.preset.abstain:
            return new
        alone = None if found is None else found.alone
        sure = alone is not None and new.confidence is not None and new.confidence >= alone.at
        return new if sure else abstained(new)

    def check_abstaining(self, criterion: Criterion) -> None:
        """See ``Judge.check_abstaining``."""
        preset = self.preset
        if not preset.abstain:
            return
        alone = self.alone(criterion)
        if alone is None:
            raise UsageError(
                f"{preset.name} does not know how sure it must be of {criterion.name} in {preset.mode} mode to decide alone; "
                "`mene align FILE --error 0.05` learns it from your labels and writes a judge that may abstain"
            )
        if preset.samples > 1:
            raise UsageError(
                "--abstain: `mene align --error` tested one answer per row; use --samples 1, or leave --abstain out"
            )
        if criterion.scale.kind == "pairwise" and alone.compare != preset.compare:
            raise UsageError(
                f"--abstain: `mene align --error` tested pairs with --compare {alone.compare}; add that option, or "
                "run `mene align` again"
            )

    def unfit(self, criterion: Criterion) -> str | None:
        """See ``Judge.unfit``."""
        preset, learned = self.preset, self.preset.calibrations
        if not learned or self.calibration(criterion) is not None:
            return None
        known = ", ".join(dict.fromkeys(c.criterion or "/".join(c.labels) for c in learned))
        return (
            f"{preset.name} has no calibration for {criterion.name} in {preset.mode} mode (it has for {known} in "
            f"{learned[0].mode} mode); `mene align` learns one from your labels"
        )
