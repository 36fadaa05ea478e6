"""Which rows get a critique after their verdict: those that a person will look at."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mene.criterion import Criterion
from mene.errors import UsageError
from mene.judge.preset import Explain, Mode, Preset
from mene.judge.reconsidered import before_reconsidering
from mene.judge.settings import no_reasons, usual_mode
from mene.sample import Sample
from mene.verdict import Verdict

UNSURE = 0.6  # a label with a lower probability is uncertain
LIMIT = 20  # rows that get a critique by default
NO_JURY = "a jury writes no critiques of its own; explain the verdicts of a single judge"


@dataclass(frozen=True, slots=True)
class Explaining:
    """Which verdicts get a critique, and how.

    Attributes:
        which: the kind of rows.
        limit: maximum number of them, the first in the order of the table; None = all.
        tokens: maximum length of a critique; None = the preset's.
        reconsider: write the critique without showing the model its label, and choose the label again after it.
    """

    which: Explain = "none"
    limit: int | None = LIMIT
    tokens: int | None = None
    reconsider: bool = False

    def selects(self, verdict: Verdict, criterion: Criterion) -> bool:
        """Return whether a row gets a critique, by the label that it had before it was reconsidered."""
        verdict = before_reconsidering(verdict)
        reasoned_first = verdict.critique is not None and not verdict.critique_key
        if verdict.label is None or reasoned_first:
            return False
        if self.which == "failing":
            return verdict.label in (criterion.failing or ())
        if self.which == "uncertain":
            return verdict.confidence is not None and verdict.confidence < UNSURE
        return self.which == "all"


def explaining_of(
    preset: Preset,
    criteria: Sequence[Criterion],
    *,
    which: Explain | None,
    rows: int | None = None,
    reconsider: bool = False,
    mode: Mode | None = None,
    samples: int = 1,
    tokens: int | None = None,
    at_once: bool = False,
) -> Explaining:
    """Return which rows get a critique: as the user asks, else as suits the judge.

    Args:
        which: the kind of rows; None = not specified.
        rows: maximum number of rows; None = ``LIMIT``, 0 = all.
        mode, samples: the judge's, as the user sets them.
        tokens: maximum length of a critique; None = the preset's.
        at_once: verdicts are passed on immediately (into a pipe); critiques are then off unless requested.

    Raises:
        UsageError: the judge writes no critiques, or no row would get one.
    """
    before = (mode or usual_mode(preset, samples, tokens)) == "critique"
    named = which
    if which is None:  # a user who asks for verdict mode wants labels only
        which = "none" if before or mode is not None or at_once else preset.explain
        if reconsider and which == "none":
            which = "failing"
    if which == "none" and reconsider:
        raise UsageError(
            "--reconsider needs critiques, but --explain none asks for none; leave one of them out"
        )
    if which != "none":
        if before:
            raise UsageError(
                "in critique mode every row has its critique before its label; use --mode verdict with --explain"
            )
        if not (preset.writes if reconsider else preset.explains):
            raise UsageError(f"{no_reasons(preset)} (--judge base)")
        pairs = [criterion for criterion in criteria if criterion.scale.kind == "pairwise"]
        if reconsider and pairs:
            raise UsageError(no_second_thought(pairs[0]))
    if named == "failing" and not any(criterion.failing for criterion in criteria):
        raise UsageError(
            f"{criteria[0].name} does not say which labels fail, so --explain failing explains nothing; use --explain uncertain "
            "or all, or write `failing:` with these labels in a criterion of your own"
        )
    if rows is not None and which == "none":
        raise UsageError("--explain-rows: no row gets a critique here; say which with --explain")
    return Explaining(which, LIMIT if rows is None else rows or None, tokens, reconsider)


def no_second_thought(criterion: Criterion) -> str:
    """Return why a pair cannot be reconsidered."""
    return (
        f"{criterion.name} compares two responses, in both orders or each alone, so one critique cannot explain both answers; "
        "leave --reconsider out, or judge in critique mode (--mode critique)"
    )


class Chosen:
    """The rows that get a critique: the first ones selected, in the order of the table.

    Holds only these rows in memory. ``left_out`` counts the selected rows that the limit excludes.

    Args:
        limit: maximum number of rows; None = all.
    """

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._heap: list[tuple[int, Sample, Criterion, Verdict]] = []  # the last in the table first
        self._done: set[int] = set()
        self.left_out = 0

    def add(
        self, position: int, sample: Sample, criterion: Criterion, verdict: Verdict
    ) -> tuple[int, Verdict] | None:
        """Add a row. Return position and verdict of the row that the limit now excludes, if any."""
        entry = (-position, sample, criterion, verdict)
        if self._limit is None or len(self._heap) < self._limit:
            heapq.heappush(self._heap, entry)
            return None
        place, _, _, out = heapq.heappushpop(self._heap, entry)
        self.left_out += not out.critique_key
        return -place, out

    def finish(self, position: int) -> None:
        """Remove a row that is complete."""
        self._done.add(position)

    def __len__(self) -> int:
        return len(self._heap) - len(self._done)

    def __iter__(self) -> Iterator[tuple[int, Sample, Criterion, Verdict]]:
        for place, sample, criterion, verdict in sorted(self._heap, key=lambda row: -row[0]):
            if -place not in self._done:
                yield -place, sample, criterion, verdict
