"""Many samples through one engine, in windows sorted so that prompts that begin alike are adjacent."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from mene.criterion import Criterion
from mene.engines.base import Completion, Engine, Request
from mene.errors import EngineError, MeneError, SampleError
from mene.judge.any_judge import Known, Stream, Task
from mene.judge.ask import Ask
from mene.sample import Sample
from mene.verdict import Verdict

if TYPE_CHECKING:
    from mene.judge.judge import Judge

T = TypeVar("T")
# Rows sorted together, so that shared prefixes are adjacent. The first windows are small, so that
# the first verdict comes quickly.
FIRST_WINDOW, WINDOW = 16, 256


class Asked(NamedTuple):
    """A task and its requests."""

    position: int
    sample: Sample
    criterion: Criterion
    ask: Ask


@dataclass(slots=True)
class _UnderWay:
    """A task in progress: its requests, and the completions so far, one place per request."""

    asked: Asked
    done: dict[int, Completion] = field(default_factory=dict)


def windows(items: Iterable[T | None]) -> Iterator[tuple[list[T], bool]]:
    """Group items into windows; the first are small.

    Yields each window, and whether a None ended it early (such a window may be empty).
    """
    window: list[T] = []
    size = FIRST_WINDOW
    for item in items:
        if item is not None:
            window.append(item)
        if item is None or len(window) == size:
            yield window, item is None
            size = min(size * 2, WINDOW) if window else size
            window = []
    if window:
        yield window, False


def verdicts_on(
    judge: Judge, tasks: Iterable[Task | None], known: Known, stop: threading.Event | None
) -> Stream:
    """The implementation of ``Judge.stream``; arguments as for ``AnyJudge.stream``."""
    judge.check_open()
    unasked: deque[tuple[int, Verdict]] = deque()  # samples for which no request could be made

    def read(window: list[Task]) -> Iterator[Asked]:
        for position, sample, criterion in window:
            judge.check_abstaining(criterion)
            try:
                ask = judge.ask(sample, criterion)
            except (SampleError, EngineError) as error:  # too long, or not countable
                unasked.append((position, failed(sample.id, criterion, judge.name, error)))
                continue
            if not known(position, sample, ask.key):
                yield Asked(position, sample, criterion, ask)

    asked = ((list(read(window)), idle) for window, idle in windows(tasks))
    with closing(judge.verdicts(asked, stop)) as verdicts:
        for verdict in verdicts:
            while unasked:
                yield unasked.popleft()
            yield verdict
    while unasked:
        yield unasked.popleft()


def answers(
    engine: Engine,
    windows: Iterable[tuple[list[Asked], bool]],
    stop: threading.Event | None = None,
) -> Generator[tuple[Asked, list[Completion]], None, None]:
    """Yield each task with the completions of all its requests, in order of completion.

    Args:
        windows: tasks, and whether no more are available after them for now.
        stop: see ``Engine.run``.
    """
    # Request number -> its task, and its place there.
    under_way: dict[int, tuple[_UnderWay, int]] = {}

    def requests() -> Iterator[Request | None]:
        serial = 0
        for window, idle in windows:
            # Sorted by text, prompts that begin alike are adjacent, so that the engine
            # finds the shared part in its cache: same context, same instruction, both orders.
            for asked in sorted(window, key=lambda one: one.ask.requests[0].messages):
                state = _UnderWay(asked)
                for place, request in enumerate(asked.ask.requests):
                    under_way[serial] = state, place
                    request.index = serial
                    yield request
                    serial += 1
            if idle:
                yield None

    with closing(engine.run(requests(), stop)) as running:
        for completion in running:
            state, place = under_way.pop(completion.index)
            state.done[place] = completion
            if len(state.done) == len(state.asked.ask.requests):
                yield state.asked, [state.done[place] for place in sorted(state.done)]


def in_order(verdicts: Stream, waiting: dict[int, Verdict]) -> Generator[Verdict, None, None]:
    """Yield verdicts in the order of their positions; other code may add to ``waiting`` too."""
    following = 0
    with closing(verdicts):
        for position, verdict in verdicts:
            waiting[position] = verdict
            while following in waiting:
                yield waiting.pop(following)
                following += 1
    while following in waiting:
        yield waiting.pop(following)
        following += 1


def failed(sample_id: str, criterion: Criterion, judge: str, error: MeneError) -> Verdict:
    """Return the verdict on a sample that cannot be judged, with the error's text."""
    return Verdict(
        id=sample_id,
        criterion=criterion.name,
        **criterion.facts,
        judge=judge,
        error=str(error),
    )
