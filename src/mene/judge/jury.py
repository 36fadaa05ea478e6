"""Several judges on one sample: the mean of their probabilities, each one's verdict kept."""

from __future__ import annotations

import hashlib
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from typing import Final

from mene.criterion import Criterion, load_criterion
from mene.errors import EngineError, SampleError, UsageError
from mene.judge.combine import combine
from mene.judge.explain import before_reconsidering
from mene.judge.judge import CriterionOf, Judge, Known, Memory, nothing_known, windows
from mene.sample import Sample
from mene.verdict import Verdict

Turns = Generator[tuple[int, Verdict], None, None]


class Jury:
    """Judges with one voice; used like one judge (``AnyJudge``).

    Args:
        judges: two or more, with different names.

    Raises:
        UsageError: fewer than two, or the same one twice.
    """

    def __init__(self, judges: list[Judge]) -> None:
        names = [judge.name for judge in judges]
        if len(judges) < 2 or len(set(names)) < len(names):
            raise UsageError(f"a jury needs two or more different judges, not {', '.join(names)}")
        self.judges: Final = tuple(judges)
        self.name: Final = f"jury({', '.join(names)})"

    def stream(
        self,
        samples: Iterable[tuple[int, Sample] | None],
        criterion: str | Criterion | CriterionOf | None = None,
        known: Known = nothing_known,
        *,
        memory: Memory | None = None,
        stop: threading.Event | None = None,
    ) -> Turns:
        """See ``Judge.stream``. The jurors speak in turns, so that a row has its verdict as soon as all have spoken on it.

        Args:
            memory: where what single jurors say is kept, so that a run that is stopped asks nobody twice.
        """
        if criterion is None:
            raise UsageError("no criterion given; see `mene criteria`")
        chosen = load_criterion(criterion) if isinstance(criterion, str) else criterion
        criterion_of = chosen if callable(chosen) else lambda sample: chosen
        for window, _ in windows(samples):
            asked: dict[int, tuple[Sample, str]] = {}
            for position, sample in window:
                try:
                    key = self._key(sample, criterion_of(sample))
                except (SampleError, EngineError):
                    key = ""  # every juror will say what is wrong
                if not (key and known(position, sample, key)):
                    asked[position] = (sample, key)
            yield from self._window(asked, chosen, criterion_of, memory, stop)
            if stop is not None and stop.is_set():
                return

    def _window(
        self,
        asked: dict[int, tuple[Sample, str]],
        criterion: Criterion | CriterionOf,
        criterion_of: CriterionOf,
        memory: Memory | None,
        stop: threading.Event | None,
    ) -> Turns:
        spoken: dict[int, dict[str, Verdict]] = {position: {} for position in asked}

        def ask(juror: Judge) -> Turns:
            def known(position: int, sample: Sample, key: str) -> bool:
                found = memory.juror(position, juror.name, key) if memory else None
                if found is not None:
                    own = juror.calibrated(before_reconsidering(found), criterion_of(sample))
                    names = {"id": sample.id, "row": None, "jury": ""}
                    spoken[position][juror.name] = own.model_copy(update=names)
                return found is not None

            todo = ((position, sample) for position, (sample, _) in asked.items())
            return juror.stream(todo, criterion, known, stop=stop)

        def conclude(position: int) -> Iterator[tuple[int, Verdict]]:
            if len(spoken[position]) == len(self.judges):
                said = spoken.pop(position)
                sample, key = asked[position]
                own = criterion_of(sample)
                whole = combine([said[judge.name] for judge in self.judges], own.scale)
                names = {"id": sample.id, "criterion": own.name, "judge": self.name, "key": key}
                yield position, whole.model_copy(update=names)

        engines: dict[int, list[Judge]] = {}
        for judge in self.judges:
            engines.setdefault(id(judge.engine), []).append(judge)
        # Who shares an engine waits for the other: an engine has one run at a time.
        for position, verdict in _in_turns([_one_by_one(ask, each) for each in engines.values()]):
            verdict = verdict.sound()
            spoken[position][verdict.judge] = verdict
            if memory is not None and verdict.error is None:
                memory.append_juror(position, verdict)
            yield from conclude(position)
        for position in list(spoken):  # of which the last word was in the memory
            yield from conclude(position)

    def calibrated(self, verdict: Verdict, criterion: Criterion) -> Verdict:
        """See ``Judge.calibrated``: the jurors' verdicts under their calibrations of today, combined anew."""
        if verdict.error is not None or len(verdict.parts) != len(self.judges):
            return verdict
        each = zip(self.judges, verdict.parts, strict=True)
        parts = [judge.calibrated(part, criterion) for judge, part in each]
        if all(new is old for new, old in zip(parts, verdict.parts, strict=True)):
            return verdict
        whole = combine(parts, criterion.scale)
        kept = ("id", "criterion", "judge", "key", "row", "content", "question")
        names = {name: getattr(verdict, name) for name in kept}
        return whole.model_copy(update={**names, "revision": verdict.revision + 1})

    def _key(self, sample: Sample, criterion: Criterion) -> str:
        keys = "".join(judge.ask(sample, criterion).key for judge in self.judges)
        return hashlib.blake2b(keys.encode(), digest_size=16).hexdigest()

    def close(self) -> None:
        """Free all models."""
        for judge in self.judges:
            judge.close()


def whose_reasons(judges: Sequence[Judge]) -> str:
    """Where some jurors write before their labels and others give labels alone, who does; else empty."""
    names = {
        mode: [judge.name for judge in judges if judge.mode == mode]
        for mode in ("critique", "verdict")
    }
    if not all(names.values()):
        return ""
    return (
        f"{', '.join(names['critique'])} gives reasons here, {', '.join(names['verdict'])} labels alone; with --mode verdict "
        "all give labels alone"
    )


def _one_by_one(ask: Callable[[Judge], Turns], judges: list[Judge]) -> Turns:
    for judge in judges:
        with closing(ask(judge)) as verdicts:
            yield from verdicts


def _in_turns(streams: list[Turns]) -> Turns:
    """One verdict of each stream after the other, until all have come to their end."""
    with ExitStack() as stack:
        going = deque(stack.enter_context(closing(stream)) for stream in streams)
        while going:
            stream = going.popleft()
            for verdict in stream:
                yield verdict
                going.append(stream)
                break
