"""The interface that a judge and a jury share."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

from mene.criterion import Criterion
from mene.sample import Sample
from mene.verdict import Verdict

if TYPE_CHECKING:
    from mene.judge.judge import Judge

# Position (returned with the verdict), sample, and the criterion to judge it by.
Task = tuple[int, Sample, Criterion]
# Called with position, sample and key; returns whether the verdict exists already.
Known = Callable[[int, Sample, str], bool]
# (position, verdict) in order of completion.
Stream = Generator[tuple[int, Verdict], None, None]


def nothing_known(position: int, sample: Sample, key: str) -> bool:
    """The default of ``known``: no verdict exists yet."""
    return False


class Memory(Protocol):
    """Stores the verdicts of single jurors until the jury has its verdict; implemented by ``Ledger``."""

    def juror(self, position: int, juror: str, key: str) -> Verdict | None:
        """Return a juror's stored verdict on a row, or None."""
        ...

    def append_juror(self, position: int, verdict: Verdict) -> None:
        """Store a juror's verdict on a row."""
        ...


class AnyJudge(Protocol):
    """One judge or a jury: anything that a run can ask for verdicts."""

    @property
    def name(self) -> str:
        """The name shown in results."""
        ...

    @property
    def judges(self) -> Sequence[Judge]:
        """The judge itself, or the jurors of a jury."""
        ...

    def stream(
        self,
        tasks: Iterable[Task | None],
        known: Known = nothing_known,
        *,
        memory: Memory | None = None,
        stop: threading.Event | None = None,
    ) -> Stream:
        """Yield (position, verdict) for each task, in order of completion.

        Tasks whose prompts begin alike are sent to the engine together. Pass the tasks of one sample one after the other, so
        that a template that shows the sample first is read once for all criteria.

        Args:
            tasks: each with a different position. None means that no more tasks are available for now; those before it are
                then judged without waiting for a full window.
            known: called with position, sample and key; True skips the task (its verdict is in the ledger).
            memory: stores the verdicts of single jurors, so that an interrupted run does not ask them again; a single judge
                ignores it.
            stop: when another thread sets it, the iterator ends and abandons the requests in progress.

        Raises:
            UsageError: a judge is closed, or must abstain without a proven threshold.
        """
        ...

    def calibrated(self, verdict: Verdict, criterion: Criterion) -> Verdict:
        """Return the verdict under the current calibrations, whichever ones it was made with."""
        ...

    def close(self) -> None:
        """Free all models."""
        ...
