"""Reasons behind verdicts that are there already: which rows get one, what is asked, what the verdict becomes.

Writing costs about a hundred times what reading a label does. So every row gets its verdict first, and then the rows
that a person will look at get a critique.
"""

from __future__ import annotations

import hashlib
import heapq
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from mene.combine import verdict_of
from mene.criterion import Criterion
from mene.engines.base import Completion, Message, Request
from mene.errors import SampleError
from mene.preset import Explain
from mene.sample import Sample
from mene.verdict import Verdict

if TYPE_CHECKING:
    from mene.judge import Judge

UNSURE = 0.6  # a label with a lower probability is uncertain
MOST = 20  # rows that get a critique when nobody says how many
# What a verdict decides.
DECISION = ("label", "score", "probabilities", "uncalibrated", "confidence")


@dataclass(frozen=True, slots=True)
class Explaining:
    """How verdicts are explained.

    Attributes:
        which: rows that get a critique.
        most: of them; the first in the order of the table. None = all.
        tokens: most tokens of a critique; None = the preset's.
        reconsider: write a critique without being told the label, and read the label again behind it.
    """

    which: Explain = "none"
    most: int | None = MOST
    tokens: int | None = None
    reconsider: bool = False

    def wants(self, verdict: Verdict, criterion: Criterion) -> bool:
        """Whether this row is one of those. A verdict whose critique came before its label has its reasons."""
        if verdict.label is None or (verdict.critique is not None and not verdict.critique_key):
            return False
        if self.which == "failing":
            return verdict.label in (criterion.failing or ())
        if self.which == "uncertain":
            return verdict.confidence is not None and verdict.confidence < UNSURE
        return self.which == "all"


def explained(
    judge: Judge,
    rows: Iterable[tuple[int, Sample, Verdict]],
    criterion_of: Callable[[Sample], Criterion],
    how: Explaining,
) -> Iterator[tuple[int, Verdict, Verdict]]:
    """Position, verdict as it was, and with its critique, in whatever order they are done.

    Those that have the critique that is asked for come first, unchanged. Where a critique cannot be written, the last of
    the three has an ``error`` and no label.
    """
    todo: list[tuple[Request, int, Sample, Verdict, str]] = []
    for position, sample, verdict in list(rows):
        try:
            request = _request(judge, sample, criterion_of(sample), verdict, how)
        except SampleError as error:
            yield position, verdict, Verdict(id=sample.id, error=str(error))
            continue
        key = key_of(judge.engine.identity, request, how.reconsider)
        if verdict.critique_key == key:
            yield position, verdict, verdict
        else:
            todo.append((request, position, sample, verdict, key))
    todo.sort(key=lambda one: one[0].messages)  # what begins alike stands side by side
    requests = [replace(request, index=i) for i, (request, *_) in enumerate(todo)]
    running = judge.engine.run(requests)
    try:
        for completion in running:
            _, position, sample, verdict, key = todo[completion.index]
            if completion.error is not None:
                yield position, verdict, Verdict(id=sample.id, error=str(completion.error))
                continue
            own = criterion_of(sample)
            yield position, verdict, _with_critique(verdict, completion, own, key, how)
    finally:
        if close := getattr(running, "close", None):
            close()


def _request(
    judge: Judge, sample: Sample, criterion: Criterion, verdict: Verdict, how: Explaining
) -> Request:
    tokens = how.tokens or judge.preset.critique_tokens
    if how.reconsider:
        return judge.request(sample, criterion, tokens)[0]
    asked = judge.request(sample, criterion, 0)[0]
    return request_for(asked, as_first(verdict), judge.template.why, tokens, judge.temperature)


def request_for(
    asked: Request, verdict: Verdict, why: str, tokens: int, temperature: float
) -> Request:
    """Ask for the reason of a verdict, in the conversation in which it was given.

    The prompt of the verdict is the beginning of this one, so that an engine that still has it reads it from its cache; and
    the model argues for the label that was given, instead of making up its mind anew.

    Args:
        asked: the request that gave the verdict, in verdict mode.
        why: the user's turn that asks for the reason.
        tokens: most tokens of the critique.
    """
    given = Message("assistant", f"{asked.cue} {verdict.label}")
    return replace(
        asked,
        messages=(*asked.messages, given, Message("user", why)),
        critique_tokens=tokens,
        temperature=temperature,
        choose=False,
    )


def key_of(identity: str, request: Request, reconsider: bool) -> str:
    """Names all that is asked for a critique; a critique under another key is not what was asked for."""
    asked = [getattr(request, f.name) for f in fields(request) if f.name != "index"]
    text = json.dumps([identity, reconsider, asked], ensure_ascii=False)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _with_critique(
    verdict: Verdict, completion: Completion, criterion: Criterion, key: str, how: Explaining
) -> Verdict:
    verdict = as_first(verdict)
    changes: dict[str, Any] = {
        "critique": completion.critique,
        "critique_key": key,
        "revision": verdict.revision + 1,
        "usage": verdict.usage + completion.usage,
        "latency_s": round(verdict.latency_s + completion.latency_s, 4),
        "notes": list(dict.fromkeys([*verdict.notes, *completion.notes])),
    }
    if how.reconsider:
        again = verdict_of(completion, criterion.scale)
        keep = {name: getattr(verdict, name) for name in DECISION}
        changes |= {name: getattr(again, name) for name in DECISION}
        changes["first"] = Verdict(**keep)
    return verdict.model_copy(update=changes)


def as_first(verdict: Verdict) -> Verdict:
    """The verdict before it was reconsidered: what a run that does not reconsider is shown."""
    if verdict.first is None:
        return verdict
    changes = {name: getattr(verdict.first, name) for name in DECISION}
    return verdict.model_copy(
        update={
            **changes,
            "critique": None,
            "critique_key": "",
            "first": None,
            "revision": verdict.revision + 1,
        }
    )


class Chosen:
    """The rows that get a critique: the first ``most`` of those that want one, in the order of the table.

    Memory is that of the rows kept. ``left`` counts the rows that want one and do not get it.

    Args:
        most: rows; None = all.
    """

    def __init__(self, most: int | None) -> None:
        self._most = most
        self._heap: list[tuple[int, Sample, Verdict]] = []  # the last in the table first
        self._gone: set[int] = set()
        self.left = 0

    def add(self, position: int, sample: Sample, verdict: Verdict) -> Verdict | None:
        """Take a row. Returns the verdict of the one that has no place any more, if there is one."""
        entry = (-position, sample, verdict)
        if self._most is None or len(self._heap) < self._most:
            heapq.heappush(self._heap, entry)
            return None
        self.left += 1
        return heapq.heappushpop(self._heap, entry)[2]

    def drop(self, position: int) -> None:
        """Take a row out again."""
        self._gone.add(position)

    def __len__(self) -> int:
        return len(self._heap) - len(self._gone)

    def __iter__(self) -> Iterator[tuple[int, Sample, Verdict]]:
        for place, sample, verdict in sorted(self._heap, key=lambda row: -row[0]):
            if -place not in self._gone:
                yield -place, sample, verdict
