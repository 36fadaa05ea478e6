"""Battles, verdicts, votes, and the log of moderation; none of their rows can be changed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")
TABLES = ("battles", "verdicts", "ends", "votes", "moderation")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "battles",
        sa.Column("number", NUMBER, primary_key=True, autoincrement=True),
        sa.Column("id", sa.String(64), nullable=False, unique=True),
        sa.Column("started", sa.BigInteger, nullable=False),
        sa.Column("judge_a", sa.Text, nullable=False),
        sa.Column("judge_b", sa.Text, nullable=False),
        sa.Column("preset_a", sa.Text, nullable=False),
        sa.Column("preset_b", sa.Text, nullable=False),
        sa.Column("criterion", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("criterion_json", sa.Text, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("sample_json", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("seed", sa.BigInteger, nullable=False),
        sa.Column("voter", sa.String(64), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("battles_voter", "battles", ["voter"])
    op.create_table(
        "verdicts",
        sa.Column("battle", sa.String(64), sa.ForeignKey("battles.id"), primary_key=True),
        sa.Column("seat", sa.String(1), sa.CheckConstraint("seat IN ('a', 'b')"), primary_key=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("verdict_json", sa.Text),
        sa.Column("error", sa.Text),
        sa.Column("label", sa.Text),
        sa.Column("milliseconds", sa.Integer, nullable=False),
        sa.Column("tokens_in", sa.Integer, nullable=False),
        sa.Column("tokens_out", sa.Integer, nullable=False),
        sa.Column("leaks", sa.Boolean, nullable=False),
        sa.Column("characters", sa.Integer, nullable=False),
        sa.Column("headers", sa.Integer, nullable=False),
        sa.Column("items", sa.Integer, nullable=False),
        sa.Column("bold", sa.Integer, nullable=False),
        sa.Column("hedges", sa.Integer, nullable=False),
        sa.Column("boosts", sa.Integer, nullable=False),
    )
    op.create_table(
        "ends",
        sa.Column("battle", sa.String(64), sa.ForeignKey("battles.id"), primary_key=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("error", sa.Text),
    )
    op.create_table(
        "votes",
        sa.Column("number", NUMBER, primary_key=True, autoincrement=True),
        sa.Column(
            "battle", sa.String(64), sa.ForeignKey("battles.id"), nullable=False, unique=True
        ),
        sa.Column(
            "choice",
            sa.String(8),
            sa.CheckConstraint("choice IN ('a', 'b', 'tie', 'both_bad')"),
            nullable=False,
        ),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("label", sa.Text),
        sa.Column("voter", sa.String(64), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("consent", sa.Boolean, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("votes_voter", "votes", ["voter", "at"])
    op.create_table(
        "moderation",
        sa.Column("number", NUMBER, primary_key=True, autoincrement=True),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("what", sa.String(16), nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sqlite_autoincrement=True,
    )
    for table in TABLES:
        _never_changed(table)


def _never_changed(table: str) -> None:
    """Refuse every UPDATE of a table's rows."""
    if op.get_bind().dialect.name == "sqlite":
        op.execute(
            f"CREATE TRIGGER {table}_never_changed BEFORE UPDATE ON {table} "
            f"BEGIN SELECT RAISE(ABORT, 'rows of {table} are never changed'); END"
        )
        return
    op.execute(
        "CREATE OR REPLACE FUNCTION mene_never_changed() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'rows of % are never changed', TG_TABLE_NAME; END $$"
    )
    op.execute(
        f"CREATE TRIGGER {table}_never_changed BEFORE UPDATE ON {table} "
        "FOR EACH ROW EXECUTE FUNCTION mene_never_changed()"
    )
