"""What a client asks of a judge, on its way to a verdict, and why it may get none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mene.criterion import Criterion
from mene.engines.base import Completion, Request
from mene.errors import MeneError
from mene.judge.ask import Ask
from mene.judge.judge import Judge
from mene.sample import Sample
from mene.verdict import Verdict

Hear = Callable[[str], None]


class Full(MeneError):
    """There is no place in the queue now.

    Attributes:
        retry_after_s: when there will be one for whoever is told this, at the speed measured.
    """

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class TooMany(MeneError):
    """One request asks for more than the queue holds."""


class Closing(MeneError):
    """The server is shutting down, or this judge is."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One judgement that a client wants.

    Attributes:
        settings: other settings than the judge's own, as ``Judge.using`` takes them.
        explain: write a critique behind the verdict, which argues for its label.
    """

    sample: Sample
    criterion: Criterion
    settings: Mapping[str, Any] = field(default_factory=dict)
    explain: bool = False


class Once:
    """Passes a critique on as it is written; one that is written again, from where it was broken off.

    Args:
        hear: gets every piece once.
    """

    def __init__(self, hear: Hear) -> None:
        self._hear = hear
        self._passed_on = self._written = 0  # characters

    def __call__(self, text: str) -> None:
        self._written += len(text)
        new = self._written - self._passed_on
        if new > 0:
            self._passed_on = self._written
            self._hear(text[-new:])

    def again(self) -> None:
        """The critique will be written from its start."""
        self._written = 0


@dataclass(slots=True, eq=False)
class Job:
    """An ``Asked`` on its way. The thread of its lane owns all below ``writes``.

    Attributes:
        writes: it waits for a critique, and not for a label.
        gone: nobody waits for it any more.
        alone: it was under way when the engine failed, and is tried once more by itself.
        requests, done: what the engine is asked for it now, and what it has answered.
        also: jobs that ask exactly the same, and get the same verdict.
        first: the job that this one is among the ``also`` of.
        verdict: it is there, and its reason is being written.
        why: the key of that reason, and a note where the sample was cut for it.
    """

    asked: Asked
    client: str
    hear: Once | None
    future: asyncio.Future[Verdict]
    writes: bool
    gone: bool = False
    alone: bool = False
    judge: Judge | None = None
    ask: Ask | None = None
    requests: Sequence[Request] = ()
    done: list[Completion | None] = field(default_factory=list)
    also: list[Job] = field(default_factory=list)
    first: Job | None = None
    verdict: Verdict | None = None
    why: tuple[str, str | None] = ("", None)

    @property
    def wanted(self) -> bool:
        """Does anybody wait for it?"""
        return not self.gone or any(not job.gone for job in self.also)


def named(verdict: Verdict, job: Job) -> Verdict:
    """The verdict of another job or of the cache, under the names of this one."""
    assert job.judge is not None
    return verdict.model_copy(
        update={
            "id": job.asked.sample.id,
            "criterion": job.asked.criterion.name,
            "judge": job.judge.name,
        }
    )
