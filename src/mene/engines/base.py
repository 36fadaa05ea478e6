"""The interface between a judge and whatever runs the model.

An engine knows nothing about samples, criteria or files. It gets chat messages and the labels to choose from, and returns a
critique and the probability of every label.
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
    """One judgement to run. Only the judge that made it changes it, and only ``index``, before it is sent.

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
        cue: the text before the label, e.g. ``**Result:**``.
        critique_tokens: maximum number of tokens of reasoning; 0 = verdict mode.
        temperature: of the reasoning; 0 = greedy. Label probabilities are always at temperature 1.
        seed: of the sampling.
        choose: False writes the critique without choosing a label.
        gap: white space between a critique and the cue.
        joint: text between the cue and the label.
        thought_tokens: additional tokens for the thinking of a remote reasoning model.
        adapter: which of the engine's adapters is in use, for reading and writing: 0 the judge's, 1 the one that explains
            (``Preset.explainer``), None none of them.
        hear: called with every new piece of the critique while it is written, in a thread of the engine. The joined pieces are
            the completion's ``critique``, unless the model closes a thought that it never opened. A remote engine sends one
            piece. If it raises, it is not called again, and the completion gets a note. It does not affect the answer.
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
    adapter: int | None = 0
    hear: Callable[[str], None] | None = field(default=None, compare=False, repr=False)

    @property
    def label_key(self) -> LabelKey:
        """The arguments of ``label_paths``, which determine the labels' tokens."""
        gap = self.gap if self.critique_tokens and self.gap != GAP else ""
        return self.cue, self.labels, self.joint, gap

    def closed(self, text: str) -> str:
        """Return prompt and critique up to where the cue is read. A gap other than the default is read with the cue."""
        return text.rstrip() + (GAP if self.gap == GAP else "")


@dataclass(slots=True)
class Completion:
    """The result of one request: a label (if one was to be chosen) or an error.

    ``probabilities`` (label -> p, sum 1) is None only where the engine cannot compute them; ``label`` is then what a strict
    parser found. Otherwise ``label`` is the likeliest one (the first of equals).
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
    """Progress of reading the current prompts: ``read`` of the ``known`` tokens to be read."""

    read: int
    known: int


class Engine(Protocol):
    """Runs requests, many at once, in any order.

    Attributes:
        identity: identifies the exact weights (file hash, hub revision, or model and URL) and everything else in the engine
            that affects its answers; part of the ledger's key.
        context: maximum number of tokens of a prompt and its completion; None if unknown.
        control_tokens: texts that the model's tokeniser reads as control tokens. The judge breaks them up in untrusted text,
            so that they never reach the model as such.
    """

    identity: str
    context: int | None
    control_tokens: frozenset[str]

    def run(
        self, requests: Iterable[Request | None], stop: Event | None = None
    ) -> Generator[Completion, None, None]:
        """Yield one completion per request, in order of completion.

        Several runs may be active at once, in one thread or several; each yields what it would yield alone. A None among the
        requests means that no more are available for now (e.g. someone types into a pipe): the engine then finishes and yields
        all
        requests in progress before it waits for the next one. It pulls from ``requests`` only as fast as it works (a few
        batches
        ahead), so that long tables stream. A request that fails yields a completion with ``error``; only a failure of the whole
        engine (lost model, wrong API key) raises a ``MeneError``. Closing the iterator early abandons the requests in
        progress. So
        does ``stop``, which any thread may set while another waits for the next completion; the iterator then ends.
        """
        ...

    def prompt(self, request: Request) -> str:
        """Return the text that the model reads for this request, chat template applied, up to where it writes."""
        ...

    def count(self, request: Request) -> int | None:
        """Return the number of tokens of ``prompt(request)``; None where the engine does not know."""
        ...

    def close(self) -> None:
        """Free the model; may be called twice. Requests in progress and later ones fail with a ``ModelError``."""
        ...


def reading_of(engine: Engine) -> Reading | None:
    """Return how far an engine has read long prompts; None where it is not reading any, or does not report it.

    Engines report it by an attribute ``reading``, which any thread may read at any time without waiting.
    """
    return getattr(engine, "reading", None)


def best(probabilities: dict[str, float]) -> str:
    """Return the likeliest label; the first in scale order among equals."""
    return max(probabilities, key=probabilities.__getitem__)
