"""The leaderboard: what the votes that count say of the judges. As JSON it is the API's answer."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from pydantic import BaseModel, ConfigDict

from mene.arena.ballots import Ballots, Reader
from mene.arena.fairness import Mask, Suspect, counted, suspects
from mene.arena.store import Store
from mene.arena.tables import micros, moment
from mene.errors import UsageError, nearest
from mene.stats.intervals import Figure, mean
from mene.stats.ratings import Ratings, Tally, bootstrap, rate, tally
from mene.stats.ratings_elo import elo
from mene.stats.ratings_ranks import ranks
from mene.stats.ratings_style import rate_styled, relative

PRELIMINARY = 100  # votes of a judge, below which its row is marked
OFTEN = 20  # votes, from which on a voter is a frequent one
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
        """From ``stats``."""
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
        begun, failed: battles that it was asked in, of all times and filters, and those in which it gave no verdict.
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
    """Which votes a leaderboard counts.

    Attributes:
        criterion: name of a criterion.
        kind: of its scale: ordinal, nominal or pairwise.
        group: voters with many votes (``frequent``), with few (``occasional``), or those who gave own labels (``labelling``).
        judges: only votes between these; empty: all.
        since, until: times of the votes.
        style: take style out too.
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


class Boards:
    """Leaderboards of one store, from any thread; votes are read once, and each board is kept until a vote comes."""

    def __init__(self, store: Store) -> None:
        self._reader = Reader(store)
        self._store = store
        self._lock = threading.Lock()
        self._kept: dict[Filters, Board] = {}
        self._of: tuple[Ballots, object] | None = None

    def board(self, filters: Filters | None = None) -> Board:
        """A leaderboard.

        Raises:
            UsageError: a filter that there is not.
        """
        filters = filters or Filters()
        with self._lock:
            ballots, out = self._read()
            if filters not in self._kept:
                if len(self._kept) >= 64:
                    self._kept.clear()
                self._kept[filters] = make_board(ballots, filters, *out, asked=self._store.asked())
            return self._kept[filters]

    def history(self, points: int = 30, filters: Filters | None = None) -> list[Moment]:
        """The ratings at times between the first vote and the last, evenly apart."""
        with self._lock:
            ballots, out = self._read()
            return make_history(ballots, points, filters or Filters(), *out)

    def suspects(self) -> list[Suspect]:
        """Voters with a habit (``fairness.py``); those that moderation left out already are not named again."""
        with self._lock:
            ballots, out = self._read()
            return suspects(ballots, counted(ballots, *out).mask)

    def counts(self, judges: Sequence[str]) -> Tally:
        """The votes between these judges, numbered in this order: what ``match.choose`` asks for."""
        with self._lock:
            ballots, out = self._read()
            mask = counted(ballots, *out).mask
        number = np.full(len(ballots.judges), -1)
        for place, name in enumerate(ballots.judges):
            number[place] = judges.index(name) if name in judges else -1
        a, b = number[ballots.a[mask]], number[ballots.b[mask]]
        here = (a >= 0) & (b >= 0)
        return tally(a[here], b[here], ballots.score[mask][here], len(judges))

    def _read(self) -> tuple[Ballots, tuple[frozenset[str], frozenset[str]]]:
        ballots, out = self._reader.read(), self._store.left_out()
        if self._of is None or self._of[0] is not ballots or self._of[1] != out:
            self._kept.clear()
            self._of = (ballots, out)
        return ballots, out


def make_board(
    ballots: Ballots,
    filters: Filters,
    battles: Collection[str] = (),
    voters: Collection[str] = (),
    asked: Mapping[str, tuple[int, int]] | None = None,
) -> Board:
    """Count, rate and rank.

    Args:
        battles, voters: left out by moderation.
        asked: of each judge, how often it was asked, and how often it failed (``Store.asked``).

    Raises:
        UsageError: a filter that there is not.
    """
    if filters.intervals not in ("sandwich", "bootstrap"):
        raise UsageError(f"intervals {filters.intervals}: sandwich or bootstrap")
    fair = counted(ballots, battles, voters)
    rows = np.flatnonzero(fair.mask & _wanted(ballots, filters))
    judges, both = np.unique(
        np.concatenate([ballots.a[rows], ballots.b[rows]]), return_inverse=True
    )
    a, b = both[: len(rows)], both[len(rows) :]
    score, voter = ballots.score[rows], ballots.voter[rows]
    _, voter = np.unique(voter, return_inverse=True)
    names = [ballots.judges[number] for number in judges]
    effects: dict[str, Measured] = {}
    styled: Ratings | None = None
    notes: list[str] = []
    if not names:
        empty = Measured(value=None, low=None, high=None, n=0)
        return Board(
            rows=[], met=[], won=[], votes=0, voters=0, left_out=fair.left_out, left=empty,
            agreement=empty, effects={}, notes=["no votes yet"],
        )  # fmt: skip
    counts = tally(a, b, score, len(names))
    if filters.intervals == "bootstrap":
        ratings = bootstrap(counts)
    else:
        ratings = rate(counts, (voter, a, b, score))
    placed = ranks(ratings)
    replayed = elo(a, b, score, len(names))
    if filters.style:
        found = rate_styled(a, b, score, features(ballots, rows), len(names))
        styled = found.ratings
        effects = dict(zip(FEATURES, map(Measured.of, found.effect), strict=True))
    if len(set(ratings.group.tolist())) > 1:
        notes.append(
            "some judges never met, not even through others: their ratings cannot be compared"
        )
    choice = ballots.choice[rows]
    order = np.argsort(-ratings.value, kind="stable")
    made = []
    for place in order:
        on_a, on_b = a == place, b == place
        wins = int((on_a & (choice == 0)).sum() + (on_b & (choice == 1)).sum())
        losses = int((on_a & (choice == 1)).sum() + (on_b & (choice == 0)).sum())
        here = on_a | on_b
        votes = int(here.sum())
        note = ""
        if ratings.prior and (wins == 0 or losses == 0):
            note = f"it never {'won' if wins == 0 else 'lost'}: how far it is from the others is a guess"
        seen = np.concatenate([ballots.preset_a[rows][on_a], ballots.preset_b[rows][on_b]])
        times = _of_seats(ballots.milliseconds[rows], on_a, on_b)
        prompt = _of_seats(ballots.tokens_in[rows], on_a, on_b)
        tokens = _of_seats(ballots.tokens_out[rows], on_a, on_b)
        own = _of_seats(ballots.own[rows], on_a, on_b)
        value = None
        if styled is not None:
            value = Measured(
                value=float(styled.value[place]),
                low=float(styled.low[place]),
                high=float(styled.high[place]),
                n=votes,
            )
        made.append(
            Row(
                judge=names[place],
                presets=sorted(filter(None, (ballots.presets[one] for one in np.unique(seen)))),
                best=int(placed.best[place]),
                worst=int(placed.worst[place]),
                rating=float(ratings.value[place]),
                low=float(ratings.low[place]),
                high=float(ratings.high[place]),
                styled=value,
                elo=float(replayed.value[place]),
                elo_half=float(replayed.half[place]),
                votes=votes,
                wins=wins,
                losses=losses,
                ties=int((here & (choice == 2)).sum()),
                both_bad=int((here & (choice == 3)).sum()),
                seconds=float(np.median(times[times > 0])) / 1000 if (times > 0).any() else None,
                tokens_in=float(prompt.mean()) if (prompt > 0).any() else None,
                tokens_out=float(tokens.mean()) if (tokens > 0).any() else None,
                agreement=Measured.of(mean(own[own >= 0])),
                begun=(asked or {}).get(names[place], (votes, 0))[0],
                failed=(asked or {}).get(names[place], (votes, 0))[1],
                preliminary=votes < PRELIMINARY,
                note=note,
            )
        )
    return Board(
        rows=made,
        met=counts.met()[np.ix_(order, order)].astype(int).tolist(),
        won=counts.won()[np.ix_(order, order)].tolist(),
        votes=len(rows),
        voters=len(np.unique(voter)),
        left_out=fair.left_out,
        left=Measured.of(mean((choice == 0)[choice < 2], voter[choice < 2])),
        agreement=Measured.of(_agreement(ballots, rows)),
        effects=effects,
        notes=notes,
    )


def make_history(
    ballots: Ballots,
    points: int,
    filters: Filters,
    battles: Collection[str] = (),
    voters: Collection[str] = (),
) -> list[Moment]:
    """The ratings at ``points`` times."""
    mask = counted(ballots, battles, voters).mask & _wanted(ballots, filters)
    rows = np.flatnonzero(mask)
    if not len(rows):
        return []
    at = ballots.at[rows]  # in order
    found = []
    for time in np.linspace(at[0], at[-1], max(2, points)).astype(np.int64):
        until = rows[: np.searchsorted(at, time, side="right")]
        judges, both = np.unique(
            np.concatenate([ballots.a[until], ballots.b[until]]), return_inverse=True
        )
        counts = tally(both[: len(until)], both[len(until) :], ballots.score[until], len(judges))
        value = rate(counts).value
        names = [ballots.judges[number] for number in judges]
        ratings = dict(zip(names, map(float, value), strict=True))
        found.append(Moment(at=moment(int(time)), votes=len(until), ratings=ratings))
    return found


def features(ballots: Ballots, rows: np.ndarray) -> np.ndarray:
    """How differently the two critiques of each vote are written, shape (votes, features), seat a less seat b."""
    style = ballots.style[rows].astype(np.float64)
    one, other = style[:, 0], style[:, 1]
    sure = (style[..., 5] - style[..., 4]) / (style[..., 5] + style[..., 4] + 1)
    counted_ = [relative(one[:, place], other[:, place]) for place in range(4)]
    return np.stack([*counted_, (sure[:, 0] - sure[:, 1]) / 2], axis=1)


def _wanted(ballots: Ballots, filters: Filters) -> Mask:
    """The votes that the filters ask for."""
    mask = np.ones(len(ballots), bool)
    for name, value, names, column in (
        ("criterion", filters.criterion, ballots.criteria, ballots.criterion),
        ("kind", filters.kind, ballots.kinds, ballots.kind),
    ):
        if value is not None:
            if value not in names:
                raise UsageError(f'no votes with {name} "{value}"{nearest(value, names)}')
            mask &= column == names.index(value)
    if filters.group is not None:
        mask &= _group(ballots, filters.group)
    if filters.judges:
        for name in filters.judges:
            if name not in ballots.judges:
                raise UsageError(f'no votes on judge "{name}"{nearest(name, ballots.judges)}')
        numbers = [ballots.judges.index(name) for name in filters.judges]
        mask &= np.isin(ballots.a, numbers) & np.isin(ballots.b, numbers)
    if filters.since is not None:
        mask &= ballots.at >= micros(filters.since)
    if filters.until is not None:
        mask &= ballots.at <= micros(filters.until)
    return mask


def _group(ballots: Ballots, group: str) -> Mask:
    if group not in GROUPS:
        raise UsageError(f"no group of voters {group}; there are {', '.join(GROUPS)}")
    if group == "labelling":
        labelled = np.bincount(ballots.voter, ballots.own[:, 0] >= 0, minlength=len(ballots.voters))
        return (labelled > 0)[ballots.voter]
    often = np.bincount(ballots.voter, minlength=len(ballots.voters)) >= OFTEN
    return often[ballots.voter] == (group == "frequent")


def _of_seats(both: np.ndarray, on_a: np.ndarray, on_b: np.ndarray) -> np.ndarray:
    return np.concatenate([both[on_a, 0], both[on_b, 1]])


def _agreement(ballots: Ballots, rows: np.ndarray) -> Figure:
    """Whether votes go to the verdict with the voter's own label, where just one of the two has it."""
    own = ballots.own[rows]
    one = (own >= 0).all(axis=1) & (own[:, 0] != own[:, 1])
    got = ballots.score[rows][one]
    return mean(np.where(own[one, 0] == 1, got, 1 - got), ballots.voter[rows][one])
