"""One file of verdicts that several processes read and append to at the same time.

``mene judge`` locks its ledger for a whole run. Tests run in an editor and a terminal at the same time, so here the lock is
held only while a line is written. The format is that of any ledger: ``mene report`` reads it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock, Timeout

from mene import Verdict
from mene.errors import LedgerError

PATIENCE_S = 60.0  # a line takes a millisecond


class SharedLedger:
    """Verdicts by their key, in a file.

    Args:
        path: the file; created with the first verdict. None: verdicts are stored for this run only.
        warn: receives messages about lines that are not verdicts.
    """

    def __init__(self, path: Path | None, warn: Callable[[str], None]) -> None:
        self.path, self._warn = path, warn
        self._known: dict[str, Verdict] = {}
        self._read, self._inode = 0, 0  # bytes read so far, and of which file
        self._warned = False

    def find(self, key: str) -> Verdict | None:
        """Return an earlier verdict with this key, from any process; None if there is none."""
        if key not in self._known:
            self._read_on()
        return self._known.get(key)

    def add(self, verdict: Verdict) -> None:
        """Store a verdict for later questions. Failures are not stored.

        Raises:
            LedgerError: the file cannot be written.
        """
        if verdict.error is not None:
            return
        self._known[verdict.key] = verdict
        if self.path is None:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.path.with_name(f".{self.path.name}.lock"), timeout=PATIENCE_S)
            with lock, self.path.open("ab") as file:
                _mend(self.path)
                file.write(verdict.to_json().encode() + b"\n")
        except Timeout:
            raise LedgerError(
                f"{self.path} is being written by another mene process; wait for it, or choose another file with --mene-ledger"
            ) from None
        except OSError as error:
            raise LedgerError(
                f"{self.path}: cannot write: {error.strerror}; choose another file with --mene-ledger"
            ) from None

    def _read_on(self) -> None:
        """Read the lines written since the last call. A line without its end is still being written, and is left."""
        if self.path is None:
            return
        try:
            with self.path.open("rb") as file:
                there = os.fstat(file.fileno())
                if there.st_ino != self._inode or there.st_size < self._read:
                    self._read = 0  # another file, after `pytest --cache-clear`
                self._inode = there.st_ino
                file.seek(self._read)
                for line in file:
                    if not line.endswith(b"\n"):
                        break
                    self._read += len(line)
                    self._take(line)
        except FileNotFoundError:
            self._read = 0
        except OSError as error:
            raise LedgerError(
                f"{self.path}: cannot read: {error.strerror}; choose another file with --mene-ledger"
            ) from None

    def _take(self, line: bytes) -> None:
        try:
            verdict = Verdict.model_validate_json(line)
            if verdict.mistake():
                raise ValueError
        except ValueError:
            if not self._warned:
                self._warned = True
                self._warn(
                    f"{self.path}: some lines are not verdicts of this version; mene ignores them"
                )
            return
        known = self._known.get(verdict.key)
        if verdict.error is None and (known is None or known.revision <= verdict.revision):
            self._known[verdict.key] = verdict


def _mend(path: Path) -> None:
    """Cut off an incomplete last line, left by a killed process. The caller holds the lock, so no process is writing it now."""
    with path.open("rb+") as file:
        end = file.seek(0, os.SEEK_END)
        if not end:
            return
        file.seek(end - 1)
        if file.read(1) == b"\n":
            return
        file.seek(0)
        whole = file.read()
        file.truncate(whole.rfind(b"\n") + 1)
