"""Excluding and deleting votes: moderators exclude them from ratings, reversibly; voters delete their own for ever."""

from __future__ import annotations

from sqlalchemy import delete, func, insert, select

from mene.arena.database import queue_up, reading, writing
from mene.arena.rows import moderation_row, to_moderation
from mene.arena.store import Store
from mene.arena.tables import battles, ends, moderation, verdicts, votes
from mene.arena.words import Moderation, NoSuchBattle


def moderate(store: Store, line: Moderation) -> None:
    """Exclude a battle or a voter from ratings, or reverse that. The log keeps every decision.

    Raises:
        NoSuchBattle: the battle, or a vote of this voter, does not exist.
    """
    with writing(store.engine) as connection:
        if line.kind == "battle":
            query = select(battles.c.id).where(battles.c.id == line.target)
        else:
            query = select(votes.c.voter).where(votes.c.voter == line.target).limit(1)
        if connection.scalar(query) is None:
            raise NoSuchBattle(f"no {line.kind} {line.target}")
        connection.execute(insert(moderation), moderation_row(line))


def decisions(
    store: Store, *, most: int | None = None, before: int | None = None
) -> list[tuple[int, Moderation]]:
    """Return the moderation log, each line with its number, the newest first.

    Args:
        most: maximum number of lines; None: all.
        before: only lines with a smaller number, for the next page.
    """
    query = select(moderation).order_by(moderation.c.number.desc()).limit(most)
    if before is not None:
        query = query.where(moderation.c.number < before)
    with reading(store.engine) as connection:
        return [(row.number, to_moderation(row)) for row in connection.execute(query)]


def left_out(store: Store) -> tuple[frozenset[str], frozenset[str]]:
    """Return the battles and the voters that moderation excludes; the last decision on each counts."""
    with reading(store.engine) as connection:
        rows = connection.execute(_LEFT_OUT).all()
    return (
        frozenset(row.target for row in rows if row.kind == "battle"),
        frozenset(row.target for row in rows if row.kind == "voter"),
    )


def delete_all_of(store: Store, voter: str) -> int:
    """Delete everything of a voter, at their request: their votes, and the battles that they started, with all texts.

    It cannot be undone, and the log only records the number of votes. Earlier exports are not affected.

    Returns:
        The number of deleted votes.
    """
    if not voter:
        return 0
    with writing(store.engine) as connection:
        queue_up(connection, voter)
        own = select(battles.c.id).where(battles.c.voter == voter)
        # A verdict that arrives now finds no battle.
        connection.execute(own.with_for_update()).all()
        gone = connection.execute(
            delete(votes).where((votes.c.voter == voter) | votes.c.battle.in_(own))
        ).rowcount
        for table in (ends, verdicts):
            connection.execute(delete(table).where(table.c.battle.in_(own)))
        begun = connection.execute(delete(battles).where(battles.c.voter == voter)).rowcount
        connection.execute(
            delete(moderation).where(
                (moderation.c.kind == "voter") & (moderation.c.target == voter)
            )
        )
        if gone or begun:
            said = f"{gone} votes and {begun} battles, as their voter wished"
            line = Moderation(target="", kind="voter", what="delete", why=said, by="the voter")
            connection.execute(insert(moderation), moderation_row(line))
        return gone


_LAST = select(func.max(moderation.c.number)).group_by(moderation.c.kind, moderation.c.target)
_LEFT_OUT = select(moderation.c.kind, moderation.c.target).where(
    moderation.c.number.in_(_LAST), moderation.c.what == "leave_out"
)
