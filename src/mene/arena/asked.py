"""How often each judge took part in battles, and how often it gave no verdict."""

from __future__ import annotations

from sqlalchemy import func, select

from mene.arena.database import reading
from mene.arena.store import Store
from mene.arena.tables import battles, ends, verdicts, votes


def asked(store: Store) -> dict[str, tuple[int, int]]:
    """Return for each judge the number of its battles, and of those in which it gave no verdict.

    Counts only battles that were voted on, or ended without verdicts: a count that changed before the vote would reveal who
        fights.
    """
    told = votes.c.battle.is_not(None) | ends.c.error.is_not(None)
    found: dict[str, tuple[int, int]] = {}
    with reading(store.engine) as connection:
        for seat, judge in (("a", battles.c.judge_a), ("b", battles.c.judge_b)):
            said = (verdicts.c.battle == battles.c.id) & (verdicts.c.seat == seat)
            query = (
                select(judge, func.count(), func.count(verdicts.c.error))
                .select_from(
                    battles.join(verdicts, said, isouter=True)
                    .join(votes, votes.c.battle == battles.c.id, isouter=True)
                    .join(ends, ends.c.battle == battles.c.id, isouter=True)
                )
                .where(told)
                .group_by(judge)
            )
            for name, begun, failed in connection.execute(query):
                before = found.get(name, (0, 0))
                found[name] = (before[0] + begun, before[1] + failed)
    return found
