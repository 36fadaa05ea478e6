"""Several judges on one sample: the mean of their probabilities; each juror's verdict is kept in ``parts``."""

from __future__ import annotations

import hashlib
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from typing import Final, NamedTuple

from mene.criterion import Criterion
from mene.errors import EngineError, MeneError, SampleError, UsageError
from mene.judge.any_judge import Known, Memory, Stream, Task, nothing_known
from mene.judge.ask import Ask
from mene.judge.combine import combine
from mene.judge.judge import Judge
from mene.judge.reconsidered import before_reconsidering
from mene.judge.stream import Asked, failed, windows
from mene.sample import Sample
from mene.verdict import NAMES, Verdict


class _Row(NamedTuple):
    """A sample, the request to each juror (or why it cannot be asked), and the key of all of them."""

    position: int
    sample: Sample
    criterion: Criterion
    asks: dict[str, Ask | MeneError]
    key: str


class Jury:
    """Several judges that give one verdict; used like one judge (``AnyJudge``).

    Args:
        judges: two or more, with different names.

    Raises:
        UsageError: fewer than two judges, or the same one twice.
    """

    def __init__(self, judges: list[Judge]) -> None:
        names = [judge.name for judge in judges]
        if len(judges) < 2 or len(set(names)) < len(names):
            raise UsageError(f"a jury needs two or more different judges, not {', '.join(names)}")
        self.judges: Final = tuple(judges)
        self.name: Final = f"jury({', '.join(names)})"

    def stream(
        self,
        tasks: Iterable[Task | None],
        known: Known = nothing_known,
        *,
        memory: Memory | None = None,
        stop: threading.Event | None = None,
    ) -> Stream:
        """See ``AnyJudge.stream``. The jurors take turns, so that a row's verdict is ready as soon as all have judged it."""
        for judge in self.judges:
            judge.check_open()
        for window, _ in windows(tasks):
            rows = [self._row(*task) for task in window]
            asked = [
                row for row in rows if not (row.key and known(row.position, row.sample, row.key))
            ]
            yield from self._window(asked, memory, stop)
            if stop is not None and stop.is_set():
                return

    def _row(self, position: int, sample: Sample, criterion: Criterion) -> _Row:
        """Return the request to every juror; without a key where one of them cannot be asked."""
        asks: dict[str, Ask | MeneError] = {}
        for judge in self.judges:
            judge.check_abstaining(criterion)
            try:
                asks[judge.name] = judge.ask(sample, criterion)
            except (SampleError, EngineError) as error:
                asks[judge.name] = error
        keys = [ask.key if isinstance(ask, Ask) else "" for ask in asks.values()]
        key = hashlib.blake2b("".join(keys).encode(), digest_size=16).hexdigest()
        return _Row(position, sample, criterion, asks, key if all(keys) else "")

    def _window(
        self, rows: list[_Row], memory: Memory | None, stop: threading.Event | None
    ) -> Stream:
        by_position = {row.position: row for row in rows}
        remembered = memory.juror if memory is not None else lambda *_: None
        spoken: dict[int, dict[str, Verdict]] = {row.position: {} for row in rows}

        def ask(juror: Judge) -> Stream:
            unasked: list[tuple[int, Verdict]] = []

            def todo() -> Iterator[Asked]:
                for row in rows:
                    ask = row.asks[juror.name]
                    if not isinstance(ask, Ask):
                        unasked.append(
                            (row.position, failed(row.sample.id, row.criterion, juror.name, ask))
                        )
                    elif found := remembered(row.position, juror.name, ask.key):
                        own = juror.calibrated(before_reconsidering(found), row.criterion)
                        names = {"id": row.sample.id, "row": None, "jury": ""}
                        spoken[row.position][juror.name] = own.model_copy(update=names)
                    else:
                        yield Asked(row.position, row.sample, row.criterion, ask)

            with closing(juror.verdicts(windows(todo()), stop)) as verdicts:
                yield from verdicts
            yield from unasked

        def conclude(position: int) -> Iterator[tuple[int, Verdict]]:
            if len(spoken[position]) == len(self.judges):
                said, row = spoken.pop(position), by_position[position]
                whole = combine([said[judge.name] for judge in self.judges], row.criterion.scale)
                yield (
                    position,
                    whole.model_copy(
                        update={
                            "id": row.sample.id,
                            "criterion": row.criterion.name,
                            **row.criterion.facts,
                            "judge": self.name,
                            "key": row.key,
                        }
                    ),
                )

        engines: dict[int, list[Judge]] = {}
        for judge in self.judges:
            engines.setdefault(id(judge.engine), []).append(judge)
        # Jurors on one engine go one after the other: an engine does one run at a time.
        for position, verdict in _in_turns([_one_by_one(ask, each) for each in engines.values()]):
            verdict = verdict.sound()
            spoken[position][verdict.judge] = verdict
            if memory is not None and verdict.error is None:
                memory.append_juror(position, verdict)
            yield from conclude(position)
        for position in list(spoken):  # rows whose last missing verdict was in the memory
            yield from conclude(position)

    def calibrated(self, verdict: Verdict, criterion: Criterion) -> Verdict:
        """See ``AnyJudge.calibrated``: recalibrate the jurors' verdicts and combine them again."""
        if verdict.error is not None or len(verdict.parts) != len(self.judges):
            return verdict
        each = zip(self.judges, verdict.parts, strict=True)
        parts = [judge.calibrated(part, criterion) for judge, part in each]
        if all(new is old for new, old in zip(parts, verdict.parts, strict=True)):
            return verdict
        whole = combine(parts, criterion.scale)
        names = {name: getattr(verdict, name) for name in NAMES}
        return whole.model_copy(update={**names, "revision": verdict.revision + 1})

    def close(self) -> None:
        """Free all models."""
        for judge in self.judges:
            judge.close()


def whose_reasons(judges: Sequence[Judge]) -> str:
    """Return which jurors write critiques, in words, where some do and others do not; else an empty text."""
    names = {
        mode: [judge.name for judge in judges if judge.mode == mode]
        for mode in ("critique", "verdict")
    }
    if not all(names.values()):
        return ""
    return (
        f"{', '.join(names['critique'])} gives reasons here, {', '.join(names['verdict'])} only labels; with --mode verdict "
        "all give only labels"
    )


def _one_by_one(ask: Callable[[Judge], Stream], judges: list[Judge]) -> Stream:
    for judge in judges:
        with closing(ask(judge)) as verdicts:
            yield from verdicts


def _in_turns(streams: list[Stream]) -> Stream:
    """Yield one verdict from each stream in turn, until all are exhausted."""
    with ExitStack() as stack:
        going = deque(stack.enter_context(closing(stream)) for stream in streams)
        while going:
            stream = going.popleft()
            for verdict in stream:
                yield verdict
                going.append(stream)
                break
