"""What a voter sees after the vote: the judges' names and ratings, and the sample's human label."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from mene.arena.board import Board, Row
from mene.arena.state import Arena
from mene.arena.words import Battle, Choice, Seat, Vote


class Fighter(BaseModel):
    """A judge that fought.

    Attributes:
        best, worst, rating, votes: as it stood before the vote; None where nobody had voted on it.
        label, critique, probabilities, score, confidence: its verdict.
        seconds, tokens: it took, and the critique had.
        agrees: its label is the voter's own; None where the voter gave none.
    """

    judge: str
    about: str
    license: str
    best: int | None
    worst: int | None
    rating: float | None
    votes: int
    preliminary: bool
    label: str | None
    critique: str | None
    probabilities: dict[str, float] | None
    score: float | None
    confidence: float | None
    notes: list[str]
    seconds: float
    tokens: int
    agrees: bool | None


class Revealed(BaseModel):
    """A battle after its vote.

    Attributes:
        favourite: the seat with the higher rating before the vote; None: none, or they were not told apart.
        upset: the vote went to the other one; None: it went to none, or there was no favourite.
        person, source: the label of a person where the sample was drawn and somebody labelled it, and where it is from.
    """

    id: str
    choice: Choice
    label: str | None
    a: Fighter
    b: Fighter
    favourite: Literal["a", "b"] | None
    upset: bool | None
    person: str | None
    source: str


def reveal(arena: Arena, battle: Battle, vote: Vote, board: Board) -> Revealed:
    """Return the battle as shown after the vote.

    Args:
        board: the leaderboard before the vote.
    """
    rows = {row.judge: row for row in board.rows}
    one, other = rows.get(battle.a.judge), rows.get(battle.b.judge)
    favourite: Literal["a", "b"] | None = None
    if one is not None and other is not None and abs(one.rating - other.rating) >= 0.5:
        favourite = "a" if one.rating > other.rating else "b"
    decided = favourite is not None and vote.choice in ("a", "b")
    drawn = arena.samples.of_source(battle.source, battle.sample)
    return Revealed(
        id=battle.id,
        choice=vote.choice,
        label=vote.label,
        a=_fighter(arena, battle.a, one, vote),
        b=_fighter(arena, battle.b, other, vote),
        favourite=favourite,
        upset=vote.choice != favourite if decided else None,
        person=drawn.label if drawn is not None else None,
        source=battle.source if drawn is not None else "",
    )


def _fighter(arena: Arena, seat: Seat, row: Row | None, vote: Vote) -> Fighter:
    preset = arena.serving.judges.presets.get(seat.judge)
    verdict = seat.verdict
    assert verdict is not None  # only finished battles get votes
    return Fighter(
        judge=seat.judge,
        about=preset.about.strip() if preset is not None else "",
        license=preset.license if preset is not None else "",
        best=row.best if row is not None else None,
        worst=row.worst if row is not None else None,
        rating=row.rating if row is not None else None,
        votes=row.votes if row is not None else 0,
        preliminary=row is None or row.preliminary,
        label=verdict.label,
        critique=verdict.critique,
        probabilities=verdict.probabilities,
        score=verdict.score,
        confidence=verdict.confidence,
        notes=verdict.notes,
        seconds=verdict.latency_s,
        tokens=verdict.usage.completion_tokens,
        agrees=None if vote.label is None else verdict.label == vote.label,
    )
