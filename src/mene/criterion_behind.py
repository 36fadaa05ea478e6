"""The criterion behind verdicts: from what they store, or the built-in one of their name."""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache

from mene.criterion import Criterion, builtin
from mene.criterion_name import FREE
from mene.library.load import CRITERIA, built_in
from mene.scale import Kind, Scale
from mene.verdict import Verdict, scale_said


def told(verdict: Verdict) -> Criterion | None:
    """Return the criterion as a verdict stores it, without label descriptions; None where the verdict stores no scale."""
    if not verdict.scale:
        return None
    scale, failing = scale_said(verdict.scale), tuple(verdict.failing)
    return _told(verdict.criterion, verdict.question, scale.kind, scale.labels, failing)


@lru_cache(256)
def _told(
    name: str, question: str, kind: Kind, labels: tuple[str, ...], failing: tuple[str, ...]
) -> Criterion:
    own = built_in(CRITERIA, name)
    asked = question or (builtin(own).question if own else name or FREE)
    return Criterion(
        name=name or FREE, question=asked, scale=Scale(kind=kind, labels=labels), failing=failing
    )


def behind(
    said: Criterion | None, name: str, question: str, labels: Collection[str]
) -> Criterion | None:
    """Return the criterion that verdicts were made with: the stored one (``told``), or the built-in one of that name.

    None where there is neither, or its scale lacks one of ``labels``: the file comes from an earlier version, or its verdicts
    use two scales.
    """
    if said is None and not question and (own := built_in(CRITERIA, name)):
        said = builtin(own)
    return said if said is not None and set(labels) <= set(said.scale.labels) else None
