"""Battles and votes for the tests."""

from __future__ import annotations

from typing import Any

from mene.arena.words import Battle, Seat, Vote, new_id, now
from mene.criterion import Criterion
from mene.sample import Sample
from mene.verdict import Verdict

POLITE = Criterion(name="polite", question="Is it polite?", scale="yes/no")  # type: ignore[arg-type]


def battle(a: str | Seat = "nano", b: str | Seat = "base", **fields: Any) -> Battle:
    """One that begins."""
    given: dict[str, Any] = {
        "id": new_id(), "sample": Sample(instruction="Greet.", response="Hi!"), "criterion": POLITE,
        "a": _seat(a), "b": _seat(b), "voter": "v1",
    }  # fmt: skip
    return Battle(**{**given, **fields})


def judged(a: str | Seat = "nano", b: str | Seat = "base", **fields: Any) -> Battle:
    """One that is over."""
    if isinstance(a, str):
        a = Seat(judge=a, verdict=Verdict(label="Yes", critique="It may be **polite**."))
    if isinstance(b, str):
        b = Seat(judge=b, verdict=Verdict(label="No", critique="Clearly rude.", latency_s=0.25))
    return battle(a, b, **{"ended": now(), **fields})


def _seat(one: str | Seat) -> Seat:
    return Seat(judge=one) if isinstance(one, str) else one


def vote(of: Battle, choice: Any = "a", **fields: Any) -> Vote:
    """A vote on a battle, by whom started it."""
    return Vote(**{"battle": of.id, "choice": choice, "voter": of.voter, **fields})
