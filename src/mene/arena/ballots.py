"""All votes as numeric columns, read once and then extended: the basis of ratings, fairness and the leaderboard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sqlalchemy import Row, func, select

from mene.arena.database import reading
from mene.arena.store import Store
from mene.arena.tables import battles, verdicts, votes
from mene.stats.columns import Floats, Ints

PIECE = 20_000  # rows read at once
_CHOICES = {"a": 0, "b": 1, "tie": 2, "both_bad": 3}
SCORE = np.array([1.0, 0.0, 0.5, 0.5])  # points of seat a for each choice
_STYLES = ("characters", "headers", "items", "bold", "hedges", "boosts")


class Names:
    """Names, numbered in order of first appearance."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._numbers: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.names)

    def of(self, name: str) -> int:
        """Return a name's number, adding it if new."""
        number = self._numbers.get(name)
        if number is None:
            number = self._numbers[name] = len(self.names)
            self.names.append(name)
        return number

    def find(self, names: Sequence[str]) -> list[int]:
        """Return the numbers of the known names."""
        return [self._numbers[name] for name in names if name in self._numbers]


@dataclass(frozen=True)
class Ballots:
    """Votes, one row each, in order of time.

    Attributes:
        judges, presets, criteria, kinds, samples, voters, battles: names for the numbers in the columns.
        a, b: the judge of each seat.
        choice: 0 a, 1 b, 2 tie, 3 both bad.
        voter: the voter; every unknown voter counts as a different one.
        at: microseconds since 1970.
        leaks: whether a critique names its judge.
        own: whether the verdict's label of seat a, and of seat b, equals the voter's own; -1 where the voter gave none.
        style: of each seat's critique, shape (votes, 2, 6): characters, headers, items, bold, hedges, boosts.
        milliseconds, tokens_in, tokens_out: of each seat's verdict, shape (votes, 2).
    """

    judges: list[str]
    presets: list[str]
    criteria: list[str]
    kinds: list[str]
    samples: list[str]
    voters: list[str]
    battles: list[str]
    a: Ints
    b: Ints
    preset_a: Ints
    preset_b: Ints
    criterion: Ints
    kind: Ints
    sample: Ints
    choice: Ints
    voter: Ints
    at: Ints
    leaks: Ints
    own: Ints
    style: Ints
    milliseconds: Ints
    tokens_in: Ints
    tokens_out: Ints

    def __len__(self) -> int:
        return len(self.a)

    @property
    def score(self) -> Floats:
        """Points of seat a: 1, 0.5 or 0."""
        return SCORE[self.choice]


_COLUMNS = (
    "number", "a", "b", "preset_a", "preset_b", "criterion", "kind", "sample", "choice", "voter", "at", "leaks",
    "own_a", "own_b", "milliseconds_a", "milliseconds_b", "tokens_in_a", "tokens_in_b", "tokens_out_a", "tokens_out_b",
    *(f"{name}_{seat}" for seat in "ab" for name in _STYLES),
)  # fmt: skip


@dataclass
class Reader:
    """Reads a store's votes: all at the first call, later only new ones.

    After a deletion, all are read again.
    """

    store: Store
    _rows: list[np.ndarray] = field(default_factory=list)
    _last: int = 0
    _found: Ballots | None = None

    def read(self) -> Ballots:
        """Return all current votes."""
        with reading(self.store.engine) as connection:
            count = select(func.count()).select_from(votes).where(votes.c.number <= self._last)
            if connection.scalar(count) != sum(map(len, self._rows)):
                self._forget()
        new = self._new()
        if new or self._found is None:
            self._rows.extend(new)
            self._found = self._ballots()
        return self._found

    def __post_init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._rows, self._last, self._found = [], 0, None
        self._judges, self._presets, self._criteria = Names(), Names(), Names()
        self._kinds, self._samples, self._voters = Names(), Names(), Names()
        self._battles: list[str] = []

    def _new(self) -> list[np.ndarray]:
        found = []
        while True:
            with reading(self.store.engine) as connection:
                query = _QUERY.where(votes.c.number > self._last).order_by(votes.c.number)
                rows = connection.execute(query.limit(PIECE)).all()
            if not rows:
                return found
            found.append(np.array([self._numbers(row) for row in rows], np.int64))
            self._last = rows[-1].number

    def _numbers(self, row: Row[Any]) -> tuple[int, ...]:
        (number, battle, judge_a, judge_b, preset_a, preset_b, criterion, kind, content, choice, voter, at, label,
         label_a, label_b, leaks_a, leaks_b, *rest) = tuple(row)  # fmt: skip
        self._battles.append(battle)
        own = (-1, -1) if label is None else (int(label_a == label), int(label_b == label))
        return (
            number,
            self._judges.of(judge_a),
            self._judges.of(judge_b),
            self._presets.of(preset_a),
            self._presets.of(preset_b),
            self._criteria.of(criterion),
            self._kinds.of(kind),
            self._samples.of(content),
            _CHOICES[choice],
            self._voters.of(voter or f" {battle}"),
            at,
            int(leaks_a or leaks_b),
            *own,
            *rest,
        )

    def _ballots(self) -> Ballots:
        rows = np.concatenate(self._rows) if self._rows else np.empty((0, len(_COLUMNS)), np.int64)
        order = np.lexsort((rows[:, 0], rows[:, _COLUMNS.index("at")]))
        column = {name: rows[order, place] for place, name in enumerate(_COLUMNS)}

        def seats(name: str) -> Ints:
            return np.stack([column[f"{name}_a"], column[f"{name}_b"]], axis=1)

        names = (
            "a",
            "b",
            "preset_a",
            "preset_b",
            "criterion",
            "kind",
            "sample",
            "choice",
            "voter",
            "at",
            "leaks",
        )
        return Ballots(
            judges=list(self._judges.names),
            presets=list(self._presets.names),
            criteria=list(self._criteria.names),
            kinds=list(self._kinds.names),
            samples=list(self._samples.names),
            voters=list(self._voters.names),
            battles=[self._battles[place] for place in order],
            **{name: column[name] for name in names},
            own=seats("own"),
            style=np.stack([seats(name) for name in _STYLES], axis=2),
            milliseconds=seats("milliseconds"),
            tokens_in=seats("tokens_in"),
            tokens_out=seats("tokens_out"),
        )  # fmt: skip


def _query() -> Any:
    left, right = verdicts.alias(), verdicts.alias()
    seats = [
        seat.c[name]
        for name in ("milliseconds", "tokens_in", "tokens_out")
        for seat in (left, right)
    ]
    styles = [seat.c[name] for seat in (left, right) for name in _STYLES]
    b, v = battles.c, votes.c
    return (
        select(
            v.number, v.battle, b.judge_a, b.judge_b, b.preset_a, b.preset_b, b.criterion, b.kind, b.content, v.choice,
            v.voter, v.at, v.label, left.c.label, right.c.label, left.c.leaks, right.c.leaks, *seats, *styles,
        )
        .join(battles, b.id == v.battle)
        .join(left, (left.c.battle == v.battle) & (left.c.seat == "a"))
        .join(right, (right.c.battle == v.battle) & (right.c.seat == "b"))
    )  # fmt: skip


_QUERY = _query()
