"""Calibration, thresholds and abstention, applied to the model's probabilities.

None of it is part of a verdict's key: a verdict stores the model's own probabilities, and the current calibration decides.
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

# Fields that a verdict takes over from its claims.
JOINED = ("label", "score", "probabilities", "uncalibrated", "threshold", "confidence", "parts")
# Fields that calibration, threshold and abstention decide.
DECIDED = ("label", "probabilities", "threshold", "abstained")


@dataclass(frozen=True, slots=True)
class Decider:
    """Applies a preset's calibrations; ``template`` is the identity of the template that its judge uses."""

    preset: Preset
    template: str

    def calibration(self, criterion: Criterion) -> Calibration | None:
        """Return the calibration that fits a criterion, or None."""
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
            # The guarantee does not cover labels that were read again after a critique.
            verdict = before_reconsidering(verdict)
        if verdict.first is not None:  # a label that was read after a critique is not calibrated
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
        if says != said and verdict.critique_key:  # the critique argues for the other label
            new.critique, new.critique_key = None, ""
        return new

    def _by_claims(self, verdict: Verdict, criterion: Criterion) -> Verdict:
        """Return the verdict with each claim recalibrated, and combined again."""
        parts = [self.calibrated(part, criterion) for part in verdict.parts]
        if all(new is old for new, old in zip(parts, verdict.parts, strict=True)):
            return verdict
        whole = joined(parts, criterion)
        new = verdict.model_copy(update={name: getattr(whole, name) for name in JOINED})
        new.revision += bool(verdict.key)
        if not verdict.critique_key:  # each claim has a critique of its own
            new.critique = whole.critique
        elif weakest(parts, criterion) != weakest(verdict.parts, criterion):  # about another claim
            new.critique, new.critique_key = None, ""
        return new

    def _stands(self, verdict: Verdict, criterion: Criterion) -> bool:
        """Return whether nothing changes, as for most verdicts: no calibration, then or now, and no abstention."""
        if self.preset.abstain or verdict.abstained or verdict.uncalibrated or verdict.threshold:
            return False
        given = verdict.probabilities
        likeliest = given is None or verdict.label == best(given)
        return likeliest and self.calibration(criterion) is None

    def _decided(self, verdict: Verdict, criterion: Criterion) -> Verdict:
        """Return a copy with the current calibration, threshold and ``abstain`` applied to the model's probabilities."""
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
