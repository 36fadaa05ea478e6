"""The database of battles and votes: rows are added and never changed. For many threads and processes at once.

Removal by moderators and voters is in ``moderation.py``, import of whole arenas in ``exchange.py``.

A method returns when its data are on the disk: if the process is killed later, no confirmed vote is lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, insert, select
from sqlalchemy.exc import IntegrityError

from mene.arena.database import open_database, queue_up, reading, writing
from mene.arena.rows import (
    BATTLES,
    insert_battle,
    insert_end,
    locked,
    read_battles,
    to_vote,
    verdict_row,
    vote_row,
)
from mene.arena.tables import battles, ends, micros, verdicts, votes
from mene.arena.words import (
    LEFT,
    AlreadyVoted,
    ArenaError,
    Battle,
    NoSuchBattle,
    NotFinished,
    Seat,
    SeatName,
    TooManyVotes,
    Vote,
    is_id,
    now,
)
from mene.verdict import Verdict

PIECE = 1000  # rows read at once


@dataclass(frozen=True, slots=True)
class Limits:
    """The maximum number of votes per voter within these seconds.

    A clock that goes back neither frees a voter nor shuts one out: votes with a later time count too, as long as they are no
    further away than these seconds.
    """

    votes: tuple[tuple[int, int], ...] = ((10, 60), (100, 3600), (400, 86400))


class Store:
    """An arena's database.

    Args:
        where: an SQLite file (created if missing), or the URL of a PostgreSQL database.
        limits: per voter.

    Raises:
        UsageError: it cannot be opened (``open_database``).
    """

    def __init__(self, where: str | Path, limits: Limits | None = None) -> None:
        self.engine = open_database(where)
        self.limits = limits or Limits()

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Battles

    def open(self, battle: Battle) -> None:
        """Store a battle that begins; seats that already have a verdict or an error are finished.

        Raises:
            ArenaError: there is a battle with this id.
        """
        with writing(self.engine) as connection:
            insert_battle(connection, battle)

    def finish(self, battle: str, seat: SeatName, verdict: Verdict) -> None:
        """Store a judge's verdict. The second one ends the battle; a verdict with an error ends it without a vote.

        Raises:
            NoSuchBattle: none has this id.
            ArenaError: the seat has a verdict already, or the battle is over.
        """
        with writing(self.engine) as connection:
            row = locked(connection, battle)
            error = verdict.error or verdict.mistake()
            judge = row.judge_a if seat == "a" else row.judge_b
            said = Seat(judge=judge, error=error) if error else Seat(judge=judge, verdict=verdict)
            if connection.scalar(select(ends.c.battle).where(ends.c.battle == battle)):
                raise ArenaError(f"battle {battle} is over")
            try:
                connection.execute(insert(verdicts), verdict_row(battle, seat, said, now()))
            except IntegrityError:
                raise ArenaError(f"battle {battle}: seat {seat} has a verdict already") from None
            there = select(func.count()).where(verdicts.c.battle == battle)
            if error or connection.scalar(there) == 2:
                insert_end(connection, battle, now(), error)

    def fail(self, battle: str, why: str) -> bool:
        """End a battle without a vote (a judge failed or timed out, the voter left). Return False if it had already ended.

        Raises:
            NoSuchBattle: none has this id.
        """
        with writing(self.engine) as connection:
            locked(connection, battle)
            if connection.scalar(select(ends.c.battle).where(ends.c.battle == battle)):
                return False
            insert_end(connection, battle, now(), why)
            return True

    def battle(self, battle: str) -> Battle:
        """Return a battle.

        Raises:
            NoSuchBattle: none has this id.
        """
        if not is_id(battle):  # PostgreSQL fails on a text with NUL
            raise NoSuchBattle("no battle has such an id")
        with reading(self.engine) as connection:
            rows = connection.execute(BATTLES.where(battles.c.id == battle)).all()
            if not rows:
                raise NoSuchBattle(f"no battle {battle}")
            return read_battles(connection, rows)[0]

    def last_battles(self, voter: str, most: int) -> list[tuple[Battle, Vote | None]]:
        """Return the last battles that a voter started, newest first, with their votes."""
        mine = BATTLES.where(battles.c.voter == voter).order_by(battles.c.number.desc())
        with reading(self.engine) as connection:
            rows = connection.execute(mine.limit(most)).all()
            found = read_battles(connection, rows)
        voted = self.votes_of([battle.id for battle in found])
        return [(battle, voted.get(battle.id)) for battle in found]

    def unvoted(self, voter: str, content: str) -> int:
        """Return how many battles a voter started on one sample and did not vote on; those that a judge ended do not count."""
        over = ends.c.error.is_(None) | (ends.c.error == LEFT)
        query = (
            select(func.count())
            .select_from(
                battles.join(votes, votes.c.battle == battles.c.id, isouter=True).join(
                    ends, ends.c.battle == battles.c.id, isouter=True
                )
            )
            .where(battles.c.voter == voter, battles.c.content == content)
            .where(votes.c.battle.is_(None), over)
        )
        with reading(self.engine) as connection:
            return connection.scalar(query) or 0

    def battles(self, *, voted: bool | None = None, voter: str | None = None) -> Iterator[Battle]:
        """Yield all battles in the order of their start, read in pieces.

        Args:
            voted: only those with a vote (True) or without (False).
            voter: only those that this voter started.
        """
        query = BATTLES
        if voted is not None:
            query = query.where(votes.c.battle.is_not(None) == voted)
            query = query.join(votes, votes.c.battle == battles.c.id, isouter=True)
        if voter is not None:
            query = query.where(battles.c.voter == voter)
        for connection, rows in self._pieces(query, battles.c.number):
            yield from read_battles(connection, rows)

    # Votes

    def vote(self, vote: Vote) -> None:
        """Store a vote.

        Raises:
            NoSuchBattle: none has this id.
            NotFinished: a judge is still running, or one failed.
            AlreadyVoted: the battle has a vote.
            TooManyVotes: the voter exceeds the limits.
        """
        with writing(self.engine) as connection:
            if vote.voter:
                queue_up(connection, vote.voter)
            known = select(battles.c.id).where(battles.c.id == vote.battle)
            if connection.scalar(known) is None:
                raise NoSuchBattle(f"no battle {vote.battle}")
            end = connection.execute(select(ends).where(ends.c.battle == vote.battle)).first()
            if end is None:
                raise NotFinished(f"battle {vote.battle}: a judge still writes")
            if end.error is not None:
                raise NotFinished(f"battle {vote.battle} ended without verdicts: {end.error}")
            if connection.scalar(select(votes.c.battle).where(votes.c.battle == vote.battle)):
                raise AlreadyVoted(f"battle {vote.battle} has a vote already")
            if vote.voter:
                self._check_limits(connection, vote)
            try:
                connection.execute(insert(votes), vote_row(vote))
            except IntegrityError:  # another process was faster
                raise AlreadyVoted(f"battle {vote.battle} has a vote already") from None

    def _check_limits(self, connection: Connection, vote: Vote) -> None:
        wait = 0
        for most, seconds in self.limits.votes:
            since = micros(vote.at - timedelta(seconds=seconds))
            until = micros(vote.at + timedelta(seconds=seconds))
            mine = (votes.c.voter == vote.voter) & votes.c.at.between(since + 1, until)
            oldest = connection.execute(
                select(votes.c.at).where(mine).order_by(votes.c.at.desc()).offset(most - 1).limit(1)
            ).first()
            if oldest is not None:
                wait = max(wait, -((since - oldest.at) // 1_000_000))  # rounded up
        if wait:
            raise TooManyVotes(wait)

    def votes(self, *, voter: str | None = None) -> Iterator[Vote]:
        """Yield all votes, or those of a voter, in the order in which they were stored, read in pieces."""
        query = select(votes)
        if voter is not None:
            query = query.where(votes.c.voter == voter)
        for _, rows in self._pieces(query, votes.c.number):
            yield from map(to_vote, rows)

    def vote_of(self, battle: str) -> Vote | None:
        """Return a battle's vote; None if it has none."""
        with reading(self.engine) as connection:
            row = connection.execute(select(votes).where(votes.c.battle == battle)).first()
            return None if row is None else to_vote(row)

    def votes_of(self, ids: Sequence[str]) -> dict[str, Vote]:
        """Return the votes of the given battles (at most a few thousand)."""
        with reading(self.engine) as connection:
            rows = connection.execute(select(votes).where(votes.c.battle.in_(ids))).all()
        return {row.battle: to_vote(row) for row in rows}

    # Below

    def _pieces(self, query: Any, number: Any) -> Iterator[tuple[Connection, Any]]:
        """Yield all rows in pieces, each on a new connection, so that a reader that stops holds no connection."""
        last = -1
        while True:
            with reading(self.engine) as connection:
                piece = query.where(number > last).order_by(number).limit(PIECE)
                rows = connection.execute(piece).all()
                if not rows:
                    return
                last = rows[-1].number
                yield connection, rows
