"""Verdicts in an SQLite file, under the key of the ledger: everything that was asked. A help, never a need.

Whatever is wrong with the file (full disk, no rights, not a database, torn by a kill) is one warning; then the server
goes on without it.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from pathlib import Path

from pydantic import ValidationError

from mene.verdict import Verdict

log = logging.getLogger("mene.serve")


class Cache:
    """Verdicts by key. Any thread may ask.

    Args:
        path: of the file; it is made where there is none.

    Attributes:
        hits, misses: since the start.
        reads, writes: False once that has failed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.hits = self.misses = 0
        self.reads = self.writes = True
        self._lock = threading.Lock()
        self._file: sqlite3.Connection | None = None
        try:
            # Every statement is a transaction of its own: a kill loses none that was answered.
            self._file = sqlite3.connect(
                path, check_same_thread=False, isolation_level=None, timeout=1
            )
            self._file.execute("PRAGMA journal_mode = WAL")
            self._file.execute("PRAGMA synchronous = NORMAL")
            self._file.execute(
                "CREATE TABLE IF NOT EXISTS verdicts (key TEXT PRIMARY KEY, verdict TEXT NOT NULL) WITHOUT ROWID"
            )
        except sqlite3.Error as error:
            self.reads = self.writes = False
            self._warn(error, "verdicts are neither read from it nor kept in it")

    def get(self, key: str) -> Verdict | None:
        """The verdict under a key; None where there is none, or none that can be read."""
        if not self.reads or self._file is None:
            return None
        try:
            with self._lock:
                row = self._file.execute(
                    "SELECT verdict FROM verdicts WHERE key = ?", (key,)
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
                found = None  # of another version, or damaged: judged again, and written anew
        if found is not None and (found.mistake() or found.error):
            found = None
        self.hits += found is not None
        self.misses += found is None
        return found

    def put(self, key: str, verdict: Verdict) -> None:
        """Keep a verdict."""
        if not self.writes or self._file is None:
            return
        try:
            with self._lock:
                self._file.execute(
                    "INSERT OR REPLACE INTO verdicts VALUES (?, ?)", (key, verdict.to_json())
                )
        except (sqlite3.Error, ValueError) as error:
            self.writes = False
            self._warn(error, "no more verdicts are kept in it")

    def close(self) -> None:
        """Give the file back."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None
                self.reads = self.writes = False

    def _warn(self, error: Exception, what: str) -> None:
        log.warning("cache %s: %s; %s, and all goes on without", self.path, error, what)
