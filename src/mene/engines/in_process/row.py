"""A request in progress in an engine inside this process."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mene.engines.base import Completion, Request, best
from mene.engines.hear import Hearing
from mene.engines.labels import LabelPaths, Path, label_probabilities
from mene.engines.steps import RESERVE, ends, overflow
from mene.errors import EngineError
from mene.verdict import Usage


@dataclass(slots=True)
class Row:
    """A request as tokens, and its result so far.

    Attributes:
        text: the prompt; in critique mode up to where the model writes.
        ids: its tokens; in verdict mode including the cue's (``paths.shared``).
        room: maximum number of tokens of the critique; 0 = verdict mode.
        cached: tokens of ``ids`` that were not computed for this row.
        began: when its prompt began to be read; of ``time.perf_counter``.
        written: tokens of the critique, including the end token.
        stopped: whether the critique has ended.
        cut: whether the critique reached ``room`` before its end.
        random: the row's own random generator.
        hearing: listener to the critique; it knows what it has received, also when the row starts again for lack of memory.
    """

    request: Request
    text: str
    ids: list[int]
    paths: LabelPaths
    room: int
    cached: int = 0
    began: float = 0.0
    written: list[int] = field(default_factory=list)
    critique: str = ""
    stopped: bool = False
    cut: bool = False
    random: Any = None
    hearing: Hearing | None = None

    @property
    def kind(self) -> tuple[object, ...]:
        """Rows of the same kind may share a batch: same mode, same weights, same tree of labels."""
        request = self.request
        return (*request.label_key, self.room > 0, request.choose, request.adapter)

    def completion(
        self, logs: dict[Path, dict[int, float]] | None, seconds: float, instead: str
    ) -> Completion:
        """Return the row's completion.

        Args:
            logs: log probabilities of the labels' tokens; None where no label is chosen.
            seconds: that it took.
            instead: advice for the error where no label has a finite probability.
        """
        usage = Usage(
            prompt_tokens=len(self.ids),
            cached_tokens=self.cached,
            completion_tokens=len(self.written),
        )
        done = Completion(self.request.index, usage=usage, latency_s=seconds)
        if self.room:
            done.critique = self.critique.strip()
            if self.cut:
                done.notes.append(f"critique cut at {self.room} tokens")
            if self.hearing is not None:
                done.notes += self.hearing.notes
        if logs is not None:
            try:
                done.probabilities = label_probabilities(self.paths, logs)
                done.label = best(done.probabilities)
            except ValueError:
                done.error = EngineError(
                    f"the model gave no finite probability to any label; {instead}"
                )
        return done


def fitted(
    request: Request, text: str, ids: list[int], paths: LabelPaths, limit: int | None
) -> Row:
    """Return the row of a request, its critique limited to what fits.

    Args:
        ids: tokens of ``text``; in verdict mode, the cue's are added.
        limit: maximum number of tokens of prompt and answer; None: no limit.

    Raises:
        ContextOverflow: the prompt leaves no room for an answer.
    """
    if request.critique_tokens:
        room = request.critique_tokens
        if limit is not None and len(ids) + RESERVE >= limit:
            raise overflow(len(ids), limit)
        if limit is not None:
            room = min(room, limit - len(ids) - RESERVE)
        hearing = Hearing(request.hear, ends(request)) if request.hear is not None else None
        return Row(request, text, ids, paths, room, hearing=hearing)
    ids = [*ids, *paths.shared]
    if limit is not None and len(ids) + max(map(len, paths.paths.values())) > limit:
        raise overflow(len(ids), limit)
    return Row(request, text, ids, paths, room=0)
