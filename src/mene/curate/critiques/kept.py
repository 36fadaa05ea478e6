"""Stored answers of a teacher and a scorer, so that a resumed run asks nothing twice.

One JSON line per answer, under a hash of the whole request: the engine's weights, the messages (which include the label that a
teacher argues for), the labels, the token limit and the decoding. Lines are only appended; those of another engine or prompt
stay, and are reused when these are used again.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from pathlib import Path
from threading import Event

from pydantic import BaseModel, ConfigDict, Field

from mene.engines.base import Completion, Engine, Request
from mene.message import GAP, JOINT
from mene.runs.lines import Lines, parse_line, read_lines
from mene.text.visible import to_stderr
from mene.verdict import Usage, hash_of, whole_characters

NAME = "critiques.jsonl"
KEYS = ("key", "engine", "label")  # required in every line


class Answer(BaseModel):
    """A line of the file: what an engine answered; see ``Completion``."""

    model_config = ConfigDict(extra="forbid")

    key: str
    engine: str
    label: str | None
    probabilities: dict[str, float] | None = None
    critique: str | None = None
    notes: list[str] = Field(default_factory=list)
    usage: Usage = Field(default_factory=Usage)
    latency_s: float = 0.0


@dataclass
class Price:
    """The cost of answers.

    Attributes:
        asked: answers computed in this run, including failures.
        reused: answers that were stored, or shared with another request of this run.
        usage: tokens of the computed answers.
    """

    asked: int = 0
    reused: int = 0
    usage: Usage = field(default_factory=Usage)


class Answers:
    """An open file of answers. Use it as a context manager; it holds a lock on the file.

    Args:
        path: the file; created if it does not exist.
        warn: called with messages about repairs.

    Raises:
        LedgerError: in use by another process, not writable, or not a file of answers.
    """

    def __init__(self, path: Path, warn: Callable[[str], None] = to_stderr) -> None:
        self.price = Price()
        self._at: dict[str, int] = {}  # key -> offset of its line
        self._file = Lines(path, "answer", '{"key":', _parse, self._index, warn)

    def _index(self, offset: int, found: Answer) -> None:
        self._at[found.key] = offset

    def through(self, engine: Engine) -> Engine:
        """Return the engine with this memory: only missing answers are computed, and then stored."""
        return _Kept(engine, self)

    def take(self, key: str) -> Completion | None:
        """Return the stored answer, or None."""
        if key not in self._at:
            return None
        found = _parse(self._file.at(self._at[key]))
        return Completion(
            index=0,
            label=found.label,
            probabilities=found.probabilities,
            critique=found.critique,
            usage=found.usage,
            latency_s=found.latency_s,
            notes=found.notes,
        )

    def add(self, key: str, engine: str, done: Completion) -> None:
        """Store an answer; from here on it survives a kill.

        Raises:
            LedgerError: the disk is full or unavailable. Earlier lines are intact.
        """
        line = {
            "key": key,
            "engine": engine,
            "label": done.label,
            "probabilities": done.probabilities,
            "critique": done.critique,
            "notes": done.notes,
            "usage": done.usage.model_dump(),
            "latency_s": round(done.latency_s, 4),
        }
        self._at[key] = self._file.append(whole_characters(json.dumps(line, ensure_ascii=False)))

    def __enter__(self) -> Answers:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()


def key_of(identity: str, request: Request) -> str:
    """Return an answer's key: a hash of the engine's identity and the whole request, 32 hex digits."""
    asked = (request.messages, request.labels, request.opening, request.cue)
    how = (request.critique_tokens, request.temperature, request.seed)
    # Part of the key only where unusual, so that earlier answers are found again.
    ends = (request.gap, request.joint)
    return hash_of([identity, *asked, *how, *(ends if ends != (GAP, JOINT) else ())])


def count(path: Path) -> tuple[int, int]:
    """Return the numbers of critiques and of comparisons (answers without a critique) in a file."""
    if not path.is_file():
        return 0, 0
    critiques = others = 0
    for _, line in read_lines(path):
        if not line.endswith(
            b"\n"
        ):  # incomplete after a kill: Lines cuts it off, even where only its end is missing
            break
        try:
            found = _parse(line)
        except ValueError:
            continue
        critiques += found.critique is not None
        others += found.critique is None
    return critiques, others


def _parse(line: bytes) -> Answer:
    return parse_line(Answer, line, KEYS)


class _Kept:
    """An engine with a memory; see ``Engine``."""

    def __init__(self, engine: Engine, answers: Answers) -> None:
        self.engine, self.answers = engine, answers
        self.identity = engine.identity
        self.context = engine.context
        self.control_tokens = engine.control_tokens

    def run(
        self, requests: Iterable[Request | None], stop: Event | None = None
    ) -> Generator[Completion, None, None]:
        """See ``Engine.run``. Failed answers are not stored, so the next run asks again."""
        price = self.answers.price
        ready: deque[Completion] = deque()  # stored answers, yielded together with the next new one
        waiting: dict[str, list[int]] = {}  # key -> the requests in progress that share its answer

        def new() -> Iterator[Request | None]:
            for request in requests:
                if request is None:
                    yield None
                    continue
                key = key_of(self.identity, request)
                if (found := self.answers.take(key)) is not None:
                    price.reused += 1
                    ready.append(replace(found, index=request.index))
                elif key in waiting:
                    price.reused += 1
                    waiting[key].append(request.index)
                else:
                    waiting[key] = [request.index]
                    keys[request.index] = key
                    yield request

        keys: dict[int, str] = {}
        asking = new()
        first = list(islice(asking, 1))
        if first:  # otherwise nothing is asked, and a server need not even exist
            with closing(self.engine.run(chain(first, asking), stop)) as running:
                for done in running:
                    key = keys.pop(done.index)
                    price.asked += 1
                    price.usage += done.usage
                    if done.error is None:
                        self.answers.add(key, self.identity, done)
                    for index in waiting.pop(key):
                        yield replace(done, index=index)
                    while ready:
                        yield ready.popleft()
        yield from ready

    def prompt(self, request: Request) -> str:
        """See ``Engine.prompt``."""
        return self.engine.prompt(request)

    def count(self, request: Request) -> int | None:
        """See ``Engine.count``."""
        found = self.engine.count(request)
        self.context = self.engine.context  # a remote engine learns it from its first request
        return found

    def close(self) -> None:
        """See ``Engine.close``."""
        self.engine.close()
