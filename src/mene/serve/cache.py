"""A cache of verdicts in an SQLite file, under the ledger's key, which covers the whole request.

The server does not depend on it: any failure (full disk, no permission, not a database, damage by a kill) gives one warning,
and
the server continues without it.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from pathlib import Path

from pydantic import ValidationError

from mene.verdict import Verdict

log = logging.getLogger("mene.serve")


LOOK = 64  # verdicts written between two checks of the size


class Cache:
    """Verdicts by key. Thread-safe.

    Args:
        path: of the file; created if it does not exist.
        most: approximate maximum size in bytes: beyond it, the oldest tenth of the verdicts is removed. (A file that is already
            larger neither shrinks nor grows; SQLite needs up to 4 MB in addition.)

    Attributes:
        hits, misses: since the start.
        reads, writes: False after a failure.
    """

    def __init__(self, path: Path, most: int = 1_000_000_000) -> None:
        self.path, self.most = path, most
        self._new = 0
        self.hits = self.misses = 0
        self.reads = self.writes = True
        self._lock = threading.Lock()
        self._file: sqlite3.Connection | None = None
        try:
            # Every statement is its own transaction, so that a kill loses no verdict that was answered.
            self._file = sqlite3.connect(
                path, check_same_thread=False, isolation_level=None, timeout=1
            )
            self._file.execute("PRAGMA journal_mode = WAL")
            self._file.execute("PRAGMA synchronous = NORMAL")
            self._file.execute(
                "CREATE TABLE IF NOT EXISTS kept (number INTEGER PRIMARY KEY, key TEXT UNIQUE NOT NULL, verdict TEXT NOT NULL)"
            )
        except sqlite3.Error as error:
            self.reads = self.writes = False
            self._warn(error, "verdicts are neither read from it nor kept in it")

    def get(self, key: str) -> Verdict | None:
        """Return the verdict under a key; None where there is none, or it cannot be read."""
        if not self.reads or self._file is None:
            return None
        try:
            with self._lock:
                row = self._file.execute(
                    "SELECT verdict FROM kept WHERE key = ?", (key,)
                ).fetchone()
        except sqlite3.Error as error:
            self.reads = self.writes = False
            self._warn(error, "it is not used any more")
            return None
        found = None
        if row is not None:
            try:
                found = Verdict.model_validate_json(row[0])
            except (ValidationError, TypeError):
                found = None  # from another version, or damaged: judge again and overwrite
        if found is not None and (found.mistake() or found.error):
            found = None
        self.hits += found is not None
        self.misses += found is None
        return found

    def put(self, key: str, verdict: Verdict) -> None:
        """Store a verdict."""
        if not self.writes or self._file is None:
            return
        try:
            with self._lock:
                self._file.execute(
                    "INSERT OR REPLACE INTO kept (key, verdict) VALUES (?, ?)",
                    (key, verdict.to_json()),
                )
                if self._new % LOOK == 0:
                    self._make_room(self._file)
                self._new += 1
        except (sqlite3.Error, ValueError) as error:
            self.writes = False
            self._warn(error, "no more verdicts are kept in it")

    def _make_room(self, file: sqlite3.Connection) -> None:
        def figure(name: str) -> int:
            return file.execute(f"PRAGMA {name}").fetchone()[0]

        while (figure("page_count") - figure("freelist_count")) * figure("page_size") > self.most:
            (count,) = file.execute("SELECT count(*) FROM kept").fetchone()
            if count < 2:
                return
            oldest = "SELECT number FROM kept ORDER BY number LIMIT ?"
            file.execute(f"DELETE FROM kept WHERE number IN ({oldest})", (count // 10 + 1,))

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None
                self.reads = self.writes = False

    def _warn(self, error: Exception, what: str) -> None:
        log.warning("cache %s: %s; %s, and all goes on without", self.path, error, what)
