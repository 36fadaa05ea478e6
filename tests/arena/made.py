"""Battles and votes for the tests."""

from __future__ import annotations

from typing import Any

import numpy as np

from mene.arena.ballots import Ballots
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


def ballots(a: Any, b: Any, choice: Any, voter: Any, lengths: Any = None, **fields: Any) -> Ballots:
    """Votes as columns, each on a sample of its own."""
    n = len(a)
    names = [f"judge {i}" for i in range(int(max(np.max(a), np.max(b))) + 1)]
    style = np.zeros((n, 2, 6), np.int64)
    if lengths is not None:
        style[:, :, 0] = lengths
    zeros, pairs = np.zeros(n, np.int64), np.zeros((n, 2), np.int64)
    given: dict[str, Any] = {
        "judges": names, "presets": [""], "criteria": ["polite"], "kinds": ["nominal"],
        "samples": [str(i) for i in range(n)], "voters": [f"v{i}" for i in range(int(np.max(voter)) + 1)],
        "battles": [f"b{i}" for i in range(n)], "a": np.asarray(a), "b": np.asarray(b), "preset_a": zeros,
        "preset_b": zeros, "criterion": zeros, "kind": zeros, "sample": np.arange(n), "choice": np.asarray(choice),
        "voter": np.asarray(voter), "at": np.arange(n), "leaks": zeros, "own": pairs - 1, "style": style,
        "milliseconds": pairs, "tokens_in": pairs, "tokens_out": pairs,
    }  # fmt: skip
    return Ballots(**{**given, **fields})
