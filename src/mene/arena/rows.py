"""Conversion of battles, votes and moderation decisions to rows of the tables, and back."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select
from sqlalchemy.exc import IntegrityError

from mene.arena.leak import names_itself
from mene.arena.style import Style
from mene.arena.tables import battles, ends, micros, moment, verdicts
from mene.arena.words import (
    ArenaError,
    Battle,
    Moderation,
    NoSuchBattle,
    Seat,
    Vote,
    holdable,
    to_json,
)
from mene.criterion import Criterion
from mene.sample import Sample
from mene.verdict import Verdict

_STYLE = tuple(Style.model_fields)
_MOST = 2**31 - 1  # largest INTEGER in PostgreSQL
BATTLES = select(battles)


def insert_battle(connection: Connection, battle: Battle) -> None:
    row = {
        "id": battle.id,
        "started": micros(battle.started),
        "judge_a": battle.a.judge,
        "judge_b": battle.b.judge,
        "preset_a": battle.a.preset,
        "preset_b": battle.b.preset,
        "criterion": battle.criterion.name,
        "kind": battle.criterion.scale.kind,
        "criterion_json": to_json(battle.criterion),
        "content": battle.content,
        "sample_json": to_json(battle.sample),
        "source": battle.source,
        "seed": battle.seed,
        "voter": battle.voter,
    }
    try:
        connection.execute(insert(battles), storable(row))
    except IntegrityError:
        raise ArenaError(f"there is a battle {battle.id} already") from None
    at = battle.ended or battle.started
    for name, seat in (("a", battle.a), ("b", battle.b)):
        if seat.verdict is not None or seat.error is not None:
            connection.execute(insert(verdicts), verdict_row(battle.id, name, seat, at))
    if battle.ended is not None:
        insert_end(connection, battle.id, battle.ended, battle.error)


def complete(connection: Connection, battle: Battle) -> bool:
    """Complete a stored battle that was under way when it was stored. Return whether it can be voted on."""
    over = select(ends.c.error).where(ends.c.battle == battle.id)
    end = connection.execute(over).first()
    if end is not None:
        return end.error is None
    if battle.ended is None:
        return False
    known = select(verdicts.c.seat).where(verdicts.c.battle == battle.id)
    there = set(connection.scalars(known))
    for name, seat in (("a", battle.a), ("b", battle.b)):
        if name not in there and (seat.verdict is not None or seat.error is not None):
            row = verdict_row(battle.id, name, seat, battle.ended)
            connection.execute(insert(verdicts), row)
    insert_end(connection, battle.id, battle.ended, battle.error)
    return battle.is_finished


def insert_end(connection: Connection, battle: str, at: datetime, error: str | None) -> None:
    connection.execute(insert(ends), {"battle": battle, "at": micros(at), "error": error})


def locked(connection: Connection, battle: str) -> Any:
    """Return a battle's row, locked against other writers until this transaction ends."""
    query = select(battles).where(battles.c.id == battle).with_for_update()
    row = connection.execute(query).first()
    if row is None:
        raise NoSuchBattle(f"no battle {battle}")
    return row


def verdict_row(battle: str, seat: str, said: Seat, at: datetime) -> dict[str, Any]:
    verdict = said.verdict or Verdict(error="none")
    row = {
        "battle": battle,
        "seat": seat,
        "at": micros(at),
        "verdict_json": verdict.to_json() if said.verdict else None,
        "error": said.error,
        "label": verdict.label,
        "milliseconds": min(round(1000 * verdict.latency_s), _MOST),
        "tokens_in": min(verdict.usage.prompt_tokens, _MOST),
        "tokens_out": min(verdict.usage.completion_tokens, _MOST),
        "leaks": names_itself(verdict.critique, said.judge),
        **(said.style or Style()).model_dump(),
    }
    return storable(row)


def storable(row: dict[str, Any]) -> dict[str, Any]:
    """Return the row with texts that every database accepts."""
    return {name: holdable(one) if isinstance(one, str) else one for name, one in row.items()}


def vote_row(vote: Vote) -> dict[str, Any]:
    return {**vote.model_dump(), "at": micros(vote.at)}


def to_vote(row: Any) -> Vote:
    return Vote(
        battle=row.battle,
        choice=row.choice,
        reason=row.reason,
        label=row.label,
        voter=row.voter,
        at=moment(row.at),
        consent=row.consent,
    )


def moderation_row(line: Moderation) -> dict[str, Any]:
    return {**line.model_dump(), "at": micros(line.at)}


def to_moderation(row: Any) -> Moderation:
    return Moderation(
        target=row.target, kind=row.kind, what=row.what, why=row.why, by=row.by, at=moment(row.at)
    )


def read_battles(connection: Connection, rows: Any) -> list[Battle]:
    """Return battles from rows of ``battles``, with the data of the other tables."""
    ids = [row.id for row in rows]
    seats = {
        (row.battle, row.seat): row
        for row in connection.execute(select(verdicts).where(verdicts.c.battle.in_(ids)))
    }
    over = {
        row.battle: row for row in connection.execute(select(ends).where(ends.c.battle.in_(ids)))
    }
    return [
        Battle(
            id=row.id,
            sample=Sample.model_validate_json(row.sample_json),
            content=row.content,
            criterion=Criterion.model_validate(json.loads(row.criterion_json)),
            a=_seat(row.judge_a, row.preset_a, seats.get((row.id, "a"))),
            b=_seat(row.judge_b, row.preset_b, seats.get((row.id, "b"))),
            seed=row.seed,
            source=row.source,
            started=moment(row.started),
            ended=moment(over[row.id].at) if row.id in over else None,
            error=over[row.id].error if row.id in over else None,
            voter=row.voter,
        )
        for row in rows
    ]


def _seat(judge: str, preset: str, row: Any) -> Seat:
    if row is None:
        return Seat(judge=judge, preset=preset)
    return Seat(
        judge=judge,
        preset=preset,
        verdict=Verdict.model_validate_json(row.verdict_json) if row.verdict_json else None,
        error=row.error,
        style=Style(**{name: getattr(row, name) for name in _STYLE}) if row.verdict_json else None,
    )
