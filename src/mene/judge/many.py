"""Verdicts, in order, on many samples in any form that a program has them, by one criterion or several."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Generator, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from mene.criteria_set import CriteriaSet
from mene.errors import SampleError, UsageError
from mene.judge.any_judge import AnyJudge, Task
from mene.judge.stream import failed, in_order
from mene.sample import Sample, as_sample, each
from mene.values.fields import id_of
from mene.verdict import Verdict

# Samples as Python code passes them; Any stands for a data frame.
Samples = Iterable[Sample | Mapping[str, Any] | str] | Any
# Seconds that a cancelled iterator waits for the engine to stop; the engine stops in its own thread.
STOPPING_S = 1.0


def judged_now(
    judge: AnyJudge,
    sample: Sample | Mapping[str, Any] | str | None,
    fields: Mapping[str, Any],
    criteria: CriteriaSet,
) -> list[Verdict]:
    """Return the verdicts on one sample, one per criterion, in the same order.

    Args:
        sample: a text is the ``response``.
        fields: further fields, or all of them where ``sample`` is None.

    Raises:
        UsageError: a ``Sample`` and fields are both given.
        SampleError: a field that a criterion needs is missing, or cannot be read.
    """
    if isinstance(sample, str):
        sample = {"response": sample}
    if fields and isinstance(sample, Sample):
        raise UsageError("give a Sample or fields, not both")
    given = sample if isinstance(sample, Sample) else {**(sample or {}), **fields}
    read = as_sample(given, fields={field for one in criteria for field in one.shown})
    for one in criteria:
        one.check(read)
    return list(judged(judge, [read], criteria))


def judged(
    judge: AnyJudge, samples: Samples, criteria: CriteriaSet, stop: threading.Event | None = None
) -> Generator[Verdict, None, None]:
    """Yield one verdict per sample and criterion, in the order of the samples and, for each, of the criteria. Both sides
    stream.

    A sample that cannot be judged by a criterion gives a verdict with ``error``; the others are not affected.

    Args:
        samples: ``Sample``s, dicts (of any tool that ``mene judge`` reads) or texts of responses; or a data frame.
        stop: as for ``AnyJudge.stream``.
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


async def from_thread(
    verdicts: Generator[Verdict, None, None], stop: threading.Event
) -> AsyncIterator[Verdict]:
    """Yield the same verdicts to async code, without blocking the event loop.

    Args:
        stop: the event that ``verdicts`` was made with; set when the consumer leaves.
    """
    # A single worker thread: closing the generator waits for the step in progress.
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
