"""Events of a long run: work begins, advances and stops; warnings for the user.

Library code takes ``events``, any callable with one ``Event`` argument. The terminal displays events, a server forwards
them, a test passes the ``append`` of a list.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mene.text.visible import to_stderr


@dataclass(frozen=True, slots=True)
class Begin:
    """A piece of work begins.

    Attributes:
        work: its name; the other events refer to it by this name.
        total: number of steps; None where unknown.
    """

    work: str
    total: int | None = None


@dataclass(frozen=True, slots=True)
class Advance:
    """A number of steps is done."""

    work: str
    by: int = 1


@dataclass(frozen=True, slots=True)
class Stop:
    """The work is over, finished or aborted."""

    work: str


@dataclass(frozen=True, slots=True)
class Warn:
    """One line for the user: something unexpected, or something that takes long."""

    text: str


Event = Begin | Advance | Stop | Warn
Events = Callable[[Event], None]


def on_stderr(event: Event) -> None:
    """The default listener: write warnings to standard error, ignore the rest."""
    if isinstance(event, Warn):
        to_stderr(event.text)


def nowhere(event: Event) -> None:
    """Ignore all events."""


def warner(events: Events) -> Callable[[str], None]:
    """Return a function that emits its argument as a warning."""
    return lambda text: events(Warn(text))


def begin_work(events: Events, work: str, total: int | None = None) -> Callable[[], None]:
    """Emit ``Begin`` and return a function that emits one step of progress at each call."""
    events(Begin(work, total))
    return lambda: events(Advance(work))
