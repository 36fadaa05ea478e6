"""From the completions of one ``Ask`` to its verdict."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from mene.criterion import Criterion
from mene.engines.base import Completion
from mene.judge.ask import Ask, Asker
from mene.judge.combine import combine, even, verdict_of
from mene.judge.decide import Decider
from mene.sample import Sample
from mene.verdict import Verdict


def concluded(
    asker: Asker,
    decider: Decider,
    ask: Ask,
    sample: Sample,
    criterion: Criterion,
    completions: Iterable[Completion],
) -> Verdict:
    """Return the verdict from the completions of ``ask``.

    The draws of each question are averaged; the comparison combines the questions; then come calibration and thresholds.

    Args:
        completions: one per request of ``ask``, in the same order.
    """
    done = zip(completions, ask.requests, strict=True)
    parts = []
    for question in ask.questions:
        own = question.criterion.scale
        draws = [
            verdict_of(asker.read(completion, request.labels, own), own)
            for completion, request in islice(done, asker.preset.samples)
        ]
        parts.append(combine(draws, own))
    whole = decider.calibrated(ask.comparison.conclude(parts, criterion.scale), criterion)
    is_pair = criterion.scale.kind == "pairwise"
    if is_pair and sample.is_even:
        whole = even(whole, criterion.scale)
    return whole.say(
        id=sample.id,
        criterion=criterion.name,
        **criterion.facts,
        judge=asker.preset.name,
        key=ask.key,
        compare=ask.comparison.name if is_pair else None,
        notes=[*ask.notes, *whole.notes],
    )
