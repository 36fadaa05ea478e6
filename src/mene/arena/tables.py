"""The tables of an arena's database for SQLAlchemy. ``migrations/`` creates them; a test checks that the two agree.

Rows are inserted and never updated; triggers of the first migration enforce it. What a voter asks to delete is
deleted completely. Times are microseconds since 1970 in UTC: SQLite has no type for times, and integers sort.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)

metadata = MetaData()
# SQLite autoincrements only an INTEGER.
_Number = BigInteger().with_variant(Integer, "sqlite")

battles = Table(
    "battles",
    metadata,
    Column("number", _Number, primary_key=True, autoincrement=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("started", BigInteger, nullable=False),
    Column("judge_a", Text, nullable=False),
    Column("judge_b", Text, nullable=False),
    Column("preset_a", Text, nullable=False),
    Column("preset_b", Text, nullable=False),
    Column("criterion", Text, nullable=False),  # its name
    Column("kind", Text, nullable=False),  # of its scale
    Column("criterion_json", Text, nullable=False),
    Column("content", Text, nullable=False),  # hash of the sample
    Column("sample_json", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("seed", BigInteger, nullable=False),
    Column("voter", String(64), nullable=False),  # who started it
    Index("battles_voter", "voter"),
    sqlite_autoincrement=True,
)

# A judge's verdict, or why there is none.
verdicts = Table(
    "verdicts",
    metadata,
    Column("battle", String(64), ForeignKey("battles.id"), primary_key=True),
    Column("seat", String(1), CheckConstraint("seat IN ('a', 'b')"), primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("verdict_json", Text),
    Column("error", Text),
    Column("label", Text),
    Column("milliseconds", Integer, nullable=False),
    Column("tokens_in", Integer, nullable=False),
    Column("tokens_out", Integer, nullable=False),
    Column("leaks", Boolean(name="verdicts_leaks"), nullable=False),  # its critique names its judge
    Column("characters", Integer, nullable=False),
    Column("headers", Integer, nullable=False),
    Column("items", Integer, nullable=False),
    Column("bold", Integer, nullable=False),
    Column("hedges", Integer, nullable=False),
    Column("boosts", Integer, nullable=False),
)

# The end of a battle; without an error it can be voted on.
ends = Table(
    "ends",
    metadata,
    Column("battle", String(64), ForeignKey("battles.id"), primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("error", Text),
)

votes = Table(
    "votes",
    metadata,
    Column("number", _Number, primary_key=True, autoincrement=True),
    # One vote per battle, also across processes.
    Column("battle", String(64), ForeignKey("battles.id"), nullable=False, unique=True),
    Column(
        "choice",
        String(8),
        CheckConstraint("choice IN ('a', 'b', 'tie', 'both_bad')"),
        nullable=False,
    ),
    Column("reason", Text, nullable=False),
    Column("label", Text),
    Column("voter", String(64), nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("consent", Boolean(name="votes_consent"), nullable=False),
    Index("votes_voter", "voter", "at"),
    sqlite_autoincrement=True,
)

moderation = Table(
    "moderation",
    metadata,
    Column("number", _Number, primary_key=True, autoincrement=True),
    Column("target", Text, nullable=False),
    Column("kind", String(8), nullable=False),
    Column("what", String(16), nullable=False),
    Column("why", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)

NEVER_CHANGED = ("battles", "verdicts", "ends", "votes", "moderation")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def micros(time: datetime) -> int:
    """Return a time as microseconds since 1970, exactly."""
    return (time - _EPOCH) // timedelta(microseconds=1)


def moment(count: int) -> datetime:
    """Return the time of so many microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=count)
