"""The contents of a leaderboard, and the filters on its votes. Pure data; its JSON is the API's response."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pydantic import BaseModel, ConfigDict

from mene.stats.intervals import Figure

PRELIMINARY = 100  # a judge with fewer votes is marked as preliminary
OFTEN = 20  # a voter with at least so many votes is a frequent one
FEATURES = ("length", "headers", "lists", "bold", "certainty")
GROUPS = ("frequent", "occasional", "labelling")


class Measured(BaseModel):
    """A figure with its 95 % interval; None where there is nothing to say."""

    model_config = ConfigDict(frozen=True)

    value: float | None
    low: float | None
    high: float | None
    n: int

    @classmethod
    def of(cls, figure: Figure) -> Measured:
        """Return a figure of ``stats`` as data."""
        return cls(value=figure.value, low=figure.low, high=figure.high, n=figure.n)


class Row(BaseModel):
    """A judge.

    Attributes:
        judge: its name.
        presets: hashes of the settings that it was voted on with; more than one: it was changed.
        best, worst: rank range, which holds for all judges together (``ratings_ranks``).
        rating, low, high: points of the model of Bradley and Terry, 1000 on average.
        styled: the rating with style taken out; None where it was not asked for.
        elo, elo_half: as Judge Arena computes them; the half is no interval.
        votes, wins, losses, ties, both_bad: how often voted on, and how.
        seconds: median of its verdicts' latency; None where it is not known.
        tokens_in, tokens_out: mean length of its prompts and of its answers, in tokens.
        agreement: how often its label was the voter's own, where the voter gave one.
        begun, failed: battles that it was asked in, of all times and filters, that have a vote or ended without one, and those in
            which it gave no verdict.
        preliminary: it has few votes.
        note: why its rating says less than it seems; empty where all is well.
    """

    model_config = ConfigDict(frozen=True)

    judge: str
    presets: list[str]
    best: int
    worst: int
    rating: float
    low: float
    high: float
    styled: Measured | None
    elo: float
    elo_half: float
    votes: int
    wins: int
    losses: int
    ties: int
    both_bad: int
    seconds: float | None
    tokens_in: float | None
    tokens_out: float | None
    agreement: Measured
    begun: int
    failed: int
    preliminary: bool
    note: str


class Board(BaseModel):
    """A leaderboard.

    Attributes:
        rows: the judges, the best rating first.
        met, won: votes between each two, and what the row's judge got of them (half of a tie); in the order of ``rows``.
        votes, voters: that count.
        left_out: reason -> votes that do not count.
        left: how often the left seat won, of votes for one seat: half, where the side does not matter.
        agreement: of votes whose voter gave an own label that one of the two verdicts has: how often the vote went to that one.
        effects: with style taken out: feature -> log-odds of one standard deviation more of it.
        notes: what a reader must know.
    """

    model_config = ConfigDict(frozen=True)

    rows: list[Row]
    met: list[list[int]]
    won: list[list[float]]
    votes: int
    voters: int
    left_out: dict[str, int]
    left: Measured
    agreement: Measured
    effects: dict[str, Measured]
    notes: list[str]


class Moment(BaseModel):
    """The ratings at one time: judge -> points, of all votes until then."""

    model_config = ConfigDict(frozen=True)

    at: datetime
    votes: int
    ratings: dict[str, float]


@dataclass(frozen=True)
class Filters:
    """The votes that a leaderboard counts.

    Attributes:
        criterion: name of a criterion.
        kind: of its scale: ordinal, nominal or pairwise.
        group: voters with many votes (``frequent``), with few (``occasional``), or those who gave own labels (``labelling``).
        judges: only votes between these; empty: all.
        since, until: times of the votes.
        style: also compute ratings adjusted for style.
        intervals: ``sandwich`` or ``bootstrap``.
    """

    criterion: str | None = None
    kind: str | None = None
    group: str | None = None
    judges: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    style: bool = False
    intervals: str = "sandwich"
