"""The seam between a judge and whatever runs the model.

An engine knows nothing about samples, criteria or files. It gets chat messages and the labels to
choose from, and gives back a critique and the probability of every label.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field
from threading import Event
from typing import NamedTuple, Protocol

from mene.errors import MeneError
from mene.message import GAP, JOINT, Message
from mene.verdict import Usage

LabelKey = tuple[str, tuple[str, ...], str, str]


@dataclass(slots=True)
class Request:
    """One judgement to run. Only the judge that made it changes it, and only ``index``, before it goes out.

    The model continues ``messages`` with an assistant turn. In critique mode
    (``critique_tokens`` > 0) that turn begins with ``opening``, goes on freely until ``cue``, the end of
    the turn or ``critique_tokens``, and is then closed by ``cue`` (if it was not reached, mene
    writes it). In verdict mode the turn is just ``cue``. In both, the very next text is one of
    ``labels``, after ``joint``.

    Attributes:
        index: echoed in the completion; unique among the requests under way.
        messages: the prompt; untrusted text in it is already neutralised.
        labels: two or more labels to choose from.
        opening: start of the reasoning, e.g. ``**Reasoning:**``.
        cue: what stands before the label, e.g. ``**Result:**``.
        critique_tokens: most tokens of reasoning; 0 = verdict mode.
        temperature: of the reasoning; 0 = greedy. Label probabilities are always at temperature 1.
        seed: of the sampling.
        choose: False writes the critique and chooses no label behind it.
        gap: white space between a critique and the cue.
        joint: what stands between the cue and the label.
        thought_tokens: more tokens that a remote model which reasons before it answers may have for that.
        adapted: False reads and writes with the weights alone, without the adapter that the engine has with them.
        hear: called with every new piece of the critique while it is written, in a thread of the engine. The pieces,
            joined, are the completion's ``critique``, unless the model closes a thought that it never opened. A remote
            engine has one piece. What it raises becomes a note, and no more is heard. It changes nothing that is answered.
    """

    index: int
    messages: tuple[Message, ...]
    labels: tuple[str, ...]
    opening: str
    cue: str
    critique_tokens: int = 0
    temperature: float = 0.0
    seed: int = 0
    choose: bool = True
    gap: str = GAP
    joint: str = JOINT
    thought_tokens: int = 0
    adapted: bool = True
    hear: Callable[[str], None] | None = field(default=None, compare=False, repr=False)

    @property
    def label_key(self) -> LabelKey:
        """What the labels' tokens depend on: arguments of ``label_paths``."""
        gap = self.gap if self.critique_tokens and self.gap != GAP else ""
        return self.cue, self.labels, self.joint, gap

    def closed(self, text: str) -> str:
        """Prompt and critique up to where the cue is read. A gap of its own is read together with the cue."""
        return text.rstrip() + (GAP if self.gap == GAP else "")


@dataclass(slots=True)
class Completion:
    """What came back for one request: a label (where one was to be chosen) or an error.

    ``probabilities`` (label -> p, sum 1) is None only where the engine has none, and then
    ``label`` is what a strict parser read. With probabilities, ``label`` is their maximum (the
    first of equals).
    """

    index: int
    label: str | None = None
    probabilities: dict[str, float] | None = None
    critique: str | None = None
    usage: Usage = field(default_factory=Usage)
    latency_s: float = 0.0
    error: MeneError | None = None
    notes: list[str] = field(default_factory=list)


class Reading(NamedTuple):
    """How far the prompts under way have been read: ``read`` of the ``known`` tokens that are to be read."""

    read: int
    known: int


class Engine(Protocol):
    """Runs requests, many at once, in any order.

    Attributes:
        identity: names the exact weights (file hash, hub revision, or model and URL) and whatever
            else in the engine changes its answers; part of the ledger's key.
        context: tokens that fit in one prompt and its completion; None if unknown.
        control_tokens: texts that the model's tokeniser reads as control tokens. The judge breaks
            them up inside untrusted text, so that they never reach the model as such.
    """

    identity: str
    context: int | None
    control_tokens: frozenset[str]

    def run(
        self, requests: Iterable[Request | None], stop: Event | None = None
    ) -> Generator[Completion, None, None]:
        """Yield one completion per request, as they come.

        Several runs may go on at once, in one thread or in several: each gets what it would get alone.

        A None among the requests says that no more are at hand for now (someone types into a pipe):
        what is under way is then finished and yielded before the next one is waited for.
        Pulls from ``requests`` only as fast as it works them off (at most a few batches ahead), so
        that a long table streams. A request that fails yields a completion with ``error``; only a
        failure of the engine as a whole (model gone, wrong API key) raises a ``MeneError``.
        Closing the iterator early abandons what is under way. So does ``stop``, which any thread may set while another one
        waits for the next completion; the iterator then ends.
        """
        ...

    def prompt(self, request: Request) -> str:
        """The text the model reads for this request, chat template applied, up to where it writes."""
        ...

    def count(self, request: Request) -> int | None:
        """Tokens of ``prompt(request)``; None where the engine cannot know."""
        ...

    def close(self) -> None:
        """Free the model. Calling it twice is fine. What is under way, and whoever asks later, gets a ``ModelError``."""
        ...


def reading_of(engine: Engine) -> Reading | None:
    """How far an engine has read what takes it long. None: nothing long is being read, or it does not tell.

    An engine tells by an attribute ``reading``; any thread may ask at any time, and gets its answer at once.
    """
    return getattr(engine, "reading", None)


def best(probabilities: dict[str, float]) -> str:
    """The likeliest label; the first in scale order among equals."""
    return max(probabilities, key=probabilities.__getitem__)
