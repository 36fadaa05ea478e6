"""A database of each kind: SQLite in a file, and a PostgreSQL server of our own where its programs are installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from mene.arena.store import Limits, Store

FREE = Limits(votes=())
_numbers = count()


def _program(name: str) -> str | None:
    """A server's program; Debian keeps them out of the path."""
    homes = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return shutil.which(name) or (str(homes[-1]) if homes else None)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a private PostgreSQL, without a database's name; it listens on a socket in a folder of its own."""
    initdb, server = _program("initdb"), _program("pg_ctl")
    if initdb is None or server is None or os.name != "posix":
        pytest.skip("no PostgreSQL; Debian: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="mene-pg-", dir="/tmp"))  # a socket's path is short
    how: dict[str, object] = {"cwd": folder, "capture_output": True, "text": True}
    if os.geteuid() == 0:  # a server refuses to be root
        import pwd  # there is none on Windows

        known = {one.pw_name for one in pwd.getpwall()}
        how["user"] = "postgres" if "postgres" in known else "nobody"
        shutil.chown(folder, str(how["user"]))
    data = folder / "data"
    try:
        made = subprocess.run(
            [
                initdb,
                "-D",
                data,
                "-U",
                "mene",
                "-A",
                "trust",
                "--no-sync",
                "--no-instructions",
                "-E",
                "UTF8",
            ],
            **how,
        )  # type: ignore[call-overload]
        assert made.returncode == 0, made.stderr
        options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off -c max_connections=60"
        start = [server, "-D", data, "-w", "-l", folder / "log", "-o", options, "start"]
        # Its pipes would stay open as long as the server runs.
        quiet = {
            **how,
            "capture_output": False,
            "stdout": subprocess.DEVNULL,
            "stderr": subprocess.DEVNULL,
        }
        started = subprocess.run(start, **quiet)  # type: ignore[call-overload]
        assert started.returncode == 0, (folder / "log").read_text()
        yield f"postgresql://mene@/NAME?host={folder}"
    finally:
        subprocess.run([server, "-D", data, "-m", "immediate", "stop"], **how)  # type: ignore[call-overload]
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database: a file's name, or a URL."""
    if request.param == "sqlite":
        return str(tmp_path / "arena.db")
    from sqlalchemy import create_engine, text

    url = request.getfixturevalue("postgres")
    name = f"arena_{next(_numbers)}"
    engine = create_engine(
        url.replace("postgresql", "postgresql+psycopg", 1).replace("NAME", "postgres"),
        isolation_level="AUTOCOMMIT",
    )
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return url.replace("NAME", name)


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    """An arena of each kind of database, without limits."""
    with Store(database, FREE) as opened:
        yield opened


@pytest.fixture
def lite(tmp_path: Path) -> Iterator[Store]:
    """An arena in a file."""
    with Store(tmp_path / "arena.db", FREE) as opened:
        yield opened
