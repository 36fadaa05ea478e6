"""What a long run tells: that a piece of work begins, goes on and stops, and what somebody should read.

Library code takes ``events``, any function of one ``Event``: a terminal shows them, a server passes them on, a test gives the
``append`` of a list.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mene.text.visible import to_stderr


@dataclass(frozen=True, slots=True)
class Begin:
    """A piece of work begins.

    Attributes:
        work: its name, by which the other events call it.
        total: steps to its end; None where nobody knows.
    """

    work: str
    total: int | None = None


@dataclass(frozen=True, slots=True)
class Advance:
    """Steps of it are done."""

    work: str
    by: int = 1


@dataclass(frozen=True, slots=True)
class Stop:
    """It is over, at its end or before."""

    work: str


@dataclass(frozen=True, slots=True)
class Warn:
    """One line for whoever started the run: something odd, or something that takes long."""

    text: str


Event = Begin | Advance | Stop | Warn
Events = Callable[[Event], None]


def on_stderr(event: Event) -> None:
    """Where events go if nobody listens: warnings to standard error, the others nowhere."""
    if isinstance(event, Warn):
        to_stderr(event.text)


def nowhere(event: Event) -> None:
    """Takes no notice."""


def warner(events: Events) -> Callable[[str], None]:
    """A function that tells warnings."""
    return lambda text: events(Warn(text))


def begin_work(events: Events, work: str, total: int | None = None) -> Callable[[], None]:
    """Begin a piece of work; what is returned is called at each step of it."""
    events(Begin(work, total))
    return lambda: events(Advance(work))
