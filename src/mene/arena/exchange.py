"""Battles and votes as JSON lines, to move them to another arena or a notebook. One line per battle, with its vote.

    {"battle": {…}, "vote": {…}}

``export`` writes everything as a backup, or only what may be published: votes whose voters agreed to it, with voter numbers
that
are new in each file. With ``samples=False`` it omits all texts by people (samples, critiques, reasons, own criteria); the
style features stay, so that ratings, style control and fairness can be recomputed.

``read`` accepts these lines, and the formats of LMArena and Judge Arena (``published.py``). A damaged line is reported with its
position and the reason, and the others are read. Importing a file twice changes nothing.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from pydantic import ValidationError
from sqlalchemy import insert, select

from mene.arena.database import writing
from mene.arena.moderation import left_out
from mene.arena.nameless import renamed, without_samples
from mene.arena.published import Unreadable, read_published
from mene.arena.rows import complete, insert_battle, to_vote, vote_row
from mene.arena.store import Store
from mene.arena.tables import battles, votes
from mene.arena.words import Battle, Vote, to_json
from mene.errors import SampleError
from mene.events import Events, Warn, begin_work, nowhere
from mene.runs.formats import raw_rows
from mene.verdict import whole_characters

PIECE = 500  # lines stored together


@dataclass
class Imported:
    """The result of an import.

    Attributes:
        new: new battles.
        votes: new votes on battles that existed.
        here: lines whose battle and vote existed.
        conflicts: lines whose battle existed with another vote, which is kept.
        damaged: lines that could not be read.
    """

    new: int = 0
    votes: int = 0
    here: int = 0
    conflicts: int = 0
    damaged: int = 0


def to_line(battle: Battle, vote: Vote | None) -> str:
    """Return a battle and its vote as one line, without line break."""
    said = battle.model_dump(mode="python", exclude={"sample", "criterion", "a", "b"})
    said["started"] = battle.started.isoformat()
    said["ended"] = battle.ended.isoformat() if battle.ended else None
    said["sample"] = json.loads(to_json(battle.sample))
    said["criterion"] = json.loads(to_json(battle.criterion))
    for name, seat in (("a", battle.a), ("b", battle.b)):
        said[name] = seat.model_dump(mode="python", exclude={"verdict"})
        said[name]["verdict"] = json.loads(seat.verdict.to_json()) if seat.verdict else None
    line: dict[str, Any] = {"battle": said, "vote": None}
    if vote is not None:
        line["vote"] = vote.model_dump(mode="json")
    return whole_characters(json.dumps(line, ensure_ascii=False))


def from_values(values: Mapping[str, Any]) -> tuple[Battle, Vote | None]:
    """Parse a line of ``to_line``.

    Raises:
        Unreadable: it is something else; the message names the field.
    """
    try:
        battle = Battle.model_validate(values["battle"])
        vote = values.get("vote")
        voted = None if vote is None else Vote.model_validate(vote)
    except ValidationError as error:
        raise Unreadable.by(error) from None
    if voted is not None and voted.battle != battle.id:
        raise Unreadable(
            f'field "vote.battle": it is {voted.battle}, and the battle is {battle.id}'
        )
    seats = (battle.a.verdict, battle.b.verdict)
    if voted is not None and (not battle.is_finished or None in seats):
        raise Unreadable('field "vote": a battle that did not end with two verdicts has no vote')
    return battle, voted


def export(store: Store, *, published: bool = False, samples: bool = True) -> Iterator[str]:
    """Yield the lines of an arena.

    Args:
        published: only what may be published: votes whose voters agreed, and nothing that moderation excluded.
        samples: False omits all texts by people.
    """
    key = secrets.token_bytes(32)  # for this file only
    out, silenced = left_out(store) if published else (frozenset(), frozenset())
    pieces = store.battles(voted=True if published else None)
    while piece := list(islice(pieces, PIECE)):
        voted = store.votes_of([battle.id for battle in piece])
        for battle in piece:
            vote = voted.get(battle.id)
            if published:
                if vote is None or not vote.consent:
                    continue
                if battle.id in out or vote.voter in silenced:
                    continue
                battle = battle.model_copy(update={"voter": renamed(key, battle.voter)})
                vote = vote.model_copy(update={"voter": renamed(key, vote.voter)})
            if not samples:
                battle, vote = without_samples(battle, vote, key)
            yield to_line(battle, vote)


def read(path: str) -> Iterator[tuple[Battle, Vote | None] | str]:
    """Yield the battles of a file (JSON lines, JSON, CSV or Parquet; ``-`` is standard input), or why a line is not one.

    Raises:
        UsageError: the file does not exist, or has another format.
    """
    for raw in raw_rows(path):
        try:
            if raw.error is not None or raw.values is None:
                raise Unreadable(str(raw.error))
            yield from_values(raw.values) if "battle" in raw.values else read_published(raw.values)
        except (Unreadable, SampleError) as error:
            yield f"{raw.where}: {error}"


def load(
    store: Store, found: Iterable[tuple[Battle, Vote | None] | str], events: Events = nowhere
) -> Imported:
    """Store battles and votes; an interruption keeps those stored so far.

    Args:
        found: the result of ``read``.
        events: called with warnings about damaged lines and conflicts, and with progress in lines.
    """
    done = Imported()
    step = begin_work(events, "import")
    waiting: list[tuple[Battle, Vote | None]] = []

    def keep() -> None:
        for (battle, _), how in zip(waiting, add(store, waiting), strict=True):
            done.new += how == "new"
            done.votes += how == "vote"
            done.here += how == "here"
            if how == "conflict":
                done.conflicts += 1
                events(
                    Warn(
                        f"battle {battle.id} is here with another vote or ended without one: that stays"
                    )
                )
        waiting.clear()

    for one in found:
        step()
        if isinstance(one, str):
            done.damaged += 1
            events(Warn(f"{one}; this line is left out"))
            continue
        waiting.append(one)
        if len(waiting) >= PIECE:
            keep()
    keep()
    return done


def add(store: Store, pairs: Iterable[tuple[Battle, Vote | None]]) -> list[str]:
    """Store older battles and votes, or another arena's, in one transaction; existing ones are kept.

    Returns:
        For each pair ``new``, ``vote`` (a new vote on an existing battle), ``here``, or ``conflict`` (the existing battle has
        another vote, or ended without verdicts, and is kept).
    """
    found = []
    with writing(store.engine) as connection:
        for battle, vote in pairs:
            there = connection.scalar(select(battles.c.id).where(battles.c.id == battle.id))
            if there is None:
                insert_battle(connection, battle)
                if vote is not None:
                    connection.execute(insert(votes), vote_row(vote))
                found.append("new")
                continue
            whole = complete(connection, battle)
            row = connection.execute(select(votes).where(votes.c.battle == battle.id)).first()
            if vote is None or (row is not None and to_vote(row) == vote):
                found.append("here")
            elif row is not None or not whole:
                found.append("conflict")
            else:
                connection.execute(insert(votes), vote_row(vote))
                found.append("vote")
    return found
