"""What a run may ask for verdicts: one judge, or a jury."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

from mene.criterion import Criterion
from mene.sample import Sample
from mene.verdict import Verdict

if TYPE_CHECKING:
    from mene.judge.judge import Judge

# A position, which comes back with the verdict, a sample, and the criterion to judge it by.
Task = tuple[int, Sample, Criterion]
# Told position, sample and key: is there a verdict already?
Known = Callable[[int, Sample, str], bool]
# Verdicts and the positions of their tasks, in whatever order they are done.
Stream = Generator[tuple[int, Verdict], None, None]


def nothing_known(position: int, sample: Sample, key: str) -> bool:
    """No verdict is there already."""
    return False


class Memory(Protocol):
    """Keeps what single jurors say until the jury has its verdict; see ``Ledger``."""

    def juror(self, position: int, juror: str, key: str) -> Verdict | None:
        """What a juror said of a row before."""
        ...

    def append_juror(self, position: int, verdict: Verdict) -> None:
        """Keep what a juror says of a row."""
        ...


class AnyJudge(Protocol):
    """One judge or a jury: whatever a run can ask for verdicts."""

    @property
    def name(self) -> str:
        """Shown in results."""
        ...

    @property
    def judges(self) -> Sequence[Judge]:
        """Who judges: of one judge itself, of a jury its jurors."""
        ...

    def stream(
        self,
        tasks: Iterable[Task | None],
        known: Known = nothing_known,
        *,
        memory: Memory | None = None,
        stop: threading.Event | None = None,
    ) -> Stream:
        """Verdicts on samples, each by its own criterion, in whatever order they are done.

        Tasks whose prompts begin alike are asked side by side: give those of one sample one after the other, so that a
        template that shows the sample first reads it once for all criteria.

        Args:
            tasks: no two have the same position. None among them says that no more are at hand for now; those before it
                are then judged without waiting for a full window.
            known: told position, sample and key; True skips the task (a ledger has its verdict already).
            memory: where what single jurors say is kept, so that a run that is stopped asks nobody twice; one judge has no use
                for it.
            stop: set by another thread, it ends the iterator, and what is under way is abandoned.

        Raises:
            UsageError: a judge was closed, or one cannot know what to abstain from.
        """
        ...

    def calibrated(self, verdict: Verdict, criterion: Criterion) -> Verdict:
        """The verdict under the calibrations of today; made with other ones, it becomes what it would be now."""
        ...

    def close(self) -> None:
        """Free all models."""
        ...
