"""Many samples, in whatever form a program has them, each by one criterion or several: their verdicts, in order."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Generator, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from mene.criteria_set import CriteriaSet
from mene.criterion import Criterion
from mene.errors import MeneError, SampleError
from mene.judge.any_judge import AnyJudge, Task
from mene.judge.stream import in_order
from mene.sample import Sample, as_sample, each, id_of
from mene.verdict import Verdict

# What a program has to judge; Any is a data frame.
Samples = Iterable[Sample | Mapping[str, Any] | str] | Any
# How long a cancelled iterator waits for the engine to let go; it goes on doing so in its own thread.
STOPPING_S = 1.0


def judged(
    judge: AnyJudge, samples: Samples, criteria: CriteriaSet, stop: threading.Event | None = None
) -> Generator[Verdict, None, None]:
    """One verdict per sample and criterion: those of a sample side by side, in the order of the criteria. Both sides stream.

    A sample that cannot be judged by a criterion gives a verdict with ``error``; the others go on.

    Args:
        samples: ``Sample``s, dicts (of any tool that ``mene judge`` reads) or texts of responses; or a data frame.
        stop: as of ``AnyJudge.stream``.
    """
    waiting: dict[int, Verdict] = {}

    def read() -> Iterator[Task]:
        for row, given in enumerate(each(samples)):
            for which, criterion in enumerate(criteria):
                position = row * len(criteria) + which
                try:
                    sample = as_sample(given, fields=criterion.shown, number=row + 1)
                    criterion.check(sample)
                except SampleError as error:
                    name = id_of(given) or str(row + 1)
                    waiting[position] = failed(name, criterion, judge.name, error)
                else:
                    yield position, sample, criterion

    return in_order(judge.stream(read(), stop=stop), waiting)


def failed(sample_id: str, criterion: Criterion, judge: str, error: MeneError) -> Verdict:
    """The verdict on a sample that cannot be judged."""
    return Verdict(
        id=sample_id,
        criterion=criterion.name,
        **criterion.facts,
        judge=judge,
        error=str(error),
    )


async def from_thread(
    verdicts: Generator[Verdict, None, None], stop: threading.Event
) -> AsyncIterator[Verdict]:
    """The same verdicts for async code: the event loop stays free while the model works.

    Args:
        stop: that of ``verdicts``; set where whoever listens has left.
    """
    # A thread of its own, in which one thing is done after the other: the end waits for the step under way.
    worker = ThreadPoolExecutor(1, thread_name_prefix="mene-ajudge")
    loop = asyncio.get_running_loop()
    try:
        while (verdict := await loop.run_in_executor(worker, next, verdicts, None)) is not None:
            yield verdict
    finally:
        stop.set()
        ended = worker.submit(verdicts.close)
        worker.shutdown(wait=False)
        await asyncio.wait([asyncio.wrap_future(ended)], timeout=STOPPING_S)
