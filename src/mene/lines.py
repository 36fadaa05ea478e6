"""A file of JSON lines with one writer: a line that was written survives a kill.

What the lines hold is the business of those who write them: verdicts (``ledger.py``), a teacher's answers
(``curate/kept.py``).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from mene.errors import LedgerError


class Lines:
    """An open file of JSON lines, locked against other processes. Lines are appended whole.

    Args:
        path: the file; made if it is not there.
        what: a line holds, in messages: ``verdict``.
        keys: that every line has; the first of them begins it.
        index: told the offset (bytes) and the content of every line that is there already.
        warn: told about repairs.

    Raises:
        LedgerError: in use by another process, not writable, or a file of something else.
    """

    def __init__(
        self,
        path: Path,
        what: str,
        keys: tuple[str, ...],
        index: Callable[[int, dict[str, Any]], None],
        warn: Callable[[str], None],
    ) -> None:
        self.path, self.what, self.keys = path, what, keys
        folder = path.absolute().parent
        if not folder.is_dir():
            raise LedgerError(f"{path}: there is no folder {folder}; make it, or use --output")
        if not os.access(folder, os.W_OK):
            raise LedgerError(f"{path}: cannot write in {folder}; choose another with --output")
        self._lock = FileLock(path.with_name(f".{path.name}.lock"))
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            if not Path(self._lock.lock_file).exists():  # it cannot even be made
                raise LedgerError(f"{path}: cannot write here; use --output") from None
            raise LedgerError(
                f"{path} is being written by another mene process; wait for it, or choose another "
                "file with --output"
            ) from None
        except OSError as error:
            raise LedgerError(
                f"{path}: cannot write here: {error.strerror}; use --output"
            ) from None
        try:
            self._file = self._open()
        except BaseException:
            self._lock.release()
            raise
        try:
            self._end = self._read(index, warn)
        except BaseException:
            os.close(self._file)
            self._lock.release()
            raise

    def _open(self) -> int:
        try:
            return os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise LedgerError(
                f"{self.path}: cannot write: {error.strerror}; choose another file with --output"
            ) from None

    def _read(
        self, index: Callable[[int, dict[str, Any]], None], warn: Callable[[str], None]
    ) -> int:
        """Index the lines that are there; cut off a torn last one. Returns the end of the file."""
        end = 0
        start = f'{{"{self.keys[0]}":'.encode()
        for number, (offset, line) in enumerate(read_lines(self.path), start=1):
            found = entry(line, self.keys) if line.endswith(b"\n") else None
            if found is None:
                # Lines are written whole, so only a kill leaves one without its end. A file whose
                # only line is torn must at least begin like one of ours to be taken for one.
                torn = not line.endswith(b"\n")
                if torn and (number > 1 or start.startswith(line[: len(start)])):
                    warn(
                        f"{self.path}: the last line was torn by a kill, and its {self.what} is made "
                        "again"
                    )
                    os.ftruncate(self._file, offset)
                    break
                raise LedgerError(
                    f"{self.path}, line {number}: not a{'n' * (self.what[0] in 'aeiou')} {self.what}; "
                    "move the file away, or choose another place with --output"
                )
            index(offset, found)
            end = offset + len(line)
        return end

    def append(self, text: str) -> int:
        """Write one line; it survives a kill from here on. Returns its offset in bytes.

        Raises:
            LedgerError: the disk is full or gone. What was written before is whole.
        """
        line = text.encode("utf-8") + b"\n"
        try:
            os.lseek(self._file, self._end, os.SEEK_SET)
            rest = memoryview(line)
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError as error:
            os.ftruncate(self._file, self._end)  # no half line stays behind
            raise LedgerError(
                f"{self.path}: cannot write: {error.strerror}; the {self.what}s so far are kept, "
                "make room and run the same command again"
            ) from None
        self._end += len(line)
        return self._end - len(line)

    def at(self, offset: int) -> bytes:
        """The line that begins at ``offset``."""
        with os.fdopen(os.dup(self._file), "rb") as copy:
            copy.seek(offset)
            return copy.readline()

    def close(self) -> None:
        """Give the file back."""
        os.close(self._file)
        Path(self._lock.lock_file).unlink(missing_ok=True)
        self._lock.release()


def read_lines(path: Path) -> Iterable[tuple[int, bytes]]:
    """The offset (bytes) and the bytes of every line."""
    offset = 0
    with path.open("rb") as file:
        for line in file:
            yield offset, line
            offset += len(line)


def entry(line: bytes, keys: Iterable[str]) -> dict[str, Any] | None:
    """What a line holds; None where it is not an object with these keys."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) and found.keys() >= set(keys) else None
