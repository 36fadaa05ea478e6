"""Opening an arena's database (SQLite in a file, or PostgreSQL by URL), and migrating its tables."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from mene.arena.words import ArenaError
from mene.errors import UsageError
from mene.text.redact import bare_url, remember_url

WAIT_S = 30  # seconds to wait for another process that writes
MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK = 0x6D656E65  # "mene": PostgreSQL's advisory lock for migrations


def open_database(where: str | Path) -> Engine:
    """Connect, create what is missing, and migrate older tables.

    Args:
        where: an SQLite file, or a URL (``postgresql://user:password@host/name``, ``sqlite:///file``).

    Raises:
        UsageError: it cannot be reached or written, is not an arena's, or is newer than this version of mene.
    """
    address = str(where)
    remember_url(address)
    shown = bare_url(address)
    try:
        url = make_url(address if "://" in address else f"sqlite:///{address}")
        kind = url.get_backend_name()
        if kind in ("postgresql", "postgres"):
            url = url.set(drivername="postgresql+psycopg")
            engine = create_engine(
                url, pool_pre_ping=True, pool_size=10, connect_args={"connect_timeout": WAIT_S}
            )
        elif kind == "sqlite":
            engine = _sqlite(url, shown)
        else:
            raise UsageError(
                f"{shown}: an arena's database is a file (SQLite) or postgresql://USER@HOST/NAME"
            )
    except (ArgumentError, ValueError):
        raise UsageError(
            f"{shown}: not a database's URL; write it like postgresql://USER:PASSWORD@HOST/NAME, or name a file"
        ) from None
    try:
        _migrate(engine)
    except DBAPIError as error:
        engine.dispose()
        raise UsageError(f"{shown}: cannot open the database: {reason(error)}") from None
    except CommandError:
        engine.dispose()
        raise UsageError(
            f"{shown}: a newer mene made this database; update mene (pip install -U mene)"
        ) from None
    return engine


def _sqlite(url: Any, shown: str) -> Engine:
    if not url.database or url.database == ":memory:":
        raise UsageError(f"{shown}: an arena's votes are kept in a file; name one, like arena.db")
    folder = Path(url.database).resolve().parent
    if not folder.is_dir():
        raise UsageError(f"{shown}: there is no folder {folder}; make it first")
    engine = create_engine(
        url.set(drivername="sqlite+pysqlite"), connect_args={"timeout": WAIT_S}, pool_size=10
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None  # this module starts transactions itself
        # Readers do not wait for the writer. FULL: an acknowledged vote survives a power cut, not just the end of the process.
        _to_wal(connection)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A writer locks at once: after reading first, it could not upgrade while another one has written.
        writes = connection.get_execution_options().get("writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _to_wal(connection: sqlite3.Connection) -> None:
    """Switch to WAL, retrying: when several processes do so at once, SQLite rejects some without waiting."""
    until = time.monotonic() + WAIT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.02)


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Open a writing transaction: everything or nothing is on disk when the block ends.

    Raises:
        ArenaError: the database rejects it: a full disk, an unreachable server.
    """
    try:
        with _transaction(engine) as connection:
            yield connection
    except SQLAlchemyError as error:
        raise ArenaError(f"the database kept nothing of it: {reason(error)}") from None


def queue_up(connection: Connection, voter: str) -> None:
    """Serialise the writes of one voter, so that each vote counts the earlier ones, and none arrives during a deletion. SQLite
    has
    only one writer at a time."""
    if connection.dialect.name == "postgresql":
        queue = text("SELECT pg_advisory_xact_lock(hashtext(:voter))")
        connection.execute(queue, {"voter": voter})


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Open a connection for reading.

    Raises:
        ArenaError: the database does not answer.
    """
    try:
        with engine.connect() as connection:
            yield connection
    except SQLAlchemyError as error:
        raise ArenaError(f"the database does not answer: {reason(error)}") from None


@contextmanager
def _transaction(engine: Engine) -> Iterator[Connection]:
    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        yield connection


def _migrate(engine: Engine) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    logging.getLogger("alembic").setLevel(logging.WARNING)
    with _transaction(engine) as connection:
        if engine.dialect.name == "postgresql":  # several processes may start at once
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def reason(error: SQLAlchemyError) -> str:
    """Return the database driver's message, on one line and without a password."""
    said = error.orig if isinstance(error, DBAPIError) else error
    lines = str(said).strip().splitlines()
    return bare_url(lines[0] if lines else type(said).__name__)
