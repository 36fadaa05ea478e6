"""A client's request to a judge on its way to a verdict, and the errors that may end it."""

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
    """The queue is full now.

    Attributes:
        retry_after_s: estimated seconds until there is a place, at the measured speed.
    """

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class TooMany(MeneError):
    """A request needs more places than the queue has."""


class Closing(MeneError):
    """The server, or this judge, is shutting down."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One judgement requested by a client.

    Attributes:
        settings: overrides of the judge's settings, as for ``Judge.using``.
        explain: write a critique after the verdict, which argues for its label.
    """

    sample: Sample
    criterion: Criterion
    settings: Mapping[str, Any] = field(default_factory=dict)
    explain: bool = False


class Once:
    """Passes a critique on while it is written; after a restart, only the part not yet passed on.

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
        """Record that the critique is written again from its start."""
        self._written = 0


@dataclass(slots=True, eq=False)
class Job:
    """An ``Asked`` in progress. The thread of its lane owns the fields from ``writes`` on.

    Attributes:
        writes: it waits for a critique, not for a label.
        gone: no client waits for it any more.
        alone: it was in progress when the engine failed, and is retried by itself.
        requests, done: the current requests to the engine, and the answers so far.
        also: jobs with exactly the same request, which get the same verdict.
        first: the job whose ``also`` contains this one.
        verdict: the finished verdict whose critique is being written.
        why: the critique's key, and a note where the sample was cut for it.
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
        """Whether any client waits for it."""
        return not self.gone or any(not job.gone for job in self.also)


def named(verdict: Verdict, job: Job) -> Verdict:
    """Return another job's or the cache's verdict under this job's names."""
    assert job.judge is not None
    return verdict.model_copy(
        update={
            "id": job.asked.sample.id,
            "criterion": job.asked.criterion.name,
            "judge": job.judge.name,
        }
    )
