"""The ledger: one JSON line per verdict, appended as it comes, so that a killed run can go on.

A file may hold the verdicts of several judges and criteria. A run appends; when it is through, it
puts its own lines into the order of the rows, so that the file is the same however often the run was
killed on the way. Lines of the same judge and criterion that this run did not ask for (another
model file, prompt or decoding; rows that are gone) are moved to ``NAME.stale.jsonl``, never reused
and never deleted.
"""

from __future__ import annotations

import hashlib
import json
import os
from array import array
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from mene.errors import LedgerError
from mene.verdict import Verdict


class Ledger:
    """An open ledger. Use as a context manager; it holds a lock on the file.

    Args:
        path: the file; made if it is not there.
        judge: name of the judge whose verdicts are written.
        criterion: name of the criterion.
        warn: told about repairs.

    Raises:
        LedgerError: in use by another process, not writable, or not a file of verdicts.
    """

    def __init__(
        self, path: Path, judge: str, criterion: str, warn: Callable[[str], None] = print
    ) -> None:
        self.path, self.judge, self.criterion, self.warn = path, judge, criterion, warn
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
            # Kept verdicts of this judge and criterion: digest of (id, key) -> offsets.
            self._kept: dict[int, list[int]] = {}
            self._own = 0
            self._file = self._open()
            self._end = self._read()
        except BaseException:
            self._lock.release()
            raise
        self._lines = array("q")  # position of a row -> offset of its line + 1; 0 = none

    def _open(self) -> int:
        try:
            return os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise LedgerError(
                f"{self.path}: cannot write: {error.strerror}; choose another file with --output"
            ) from None

    def _read(self) -> int:
        """Index the lines that are there; cut off a torn last one. Returns the end of the file."""
        end = 0
        for number, (offset, line) in enumerate(_lines(self.path), start=1):
            entry = _entry(line) if line.endswith(b"\n") else None
            if entry is None:
                # Lines are written whole, so only a kill leaves one without its end. A file whose
                # only line is torn must at least begin like a verdict to be taken for a ledger.
                if not line.endswith(b"\n") and (number > 1 or b'{"id":'.startswith(line[:6])):
                    self.warn(f"{self.path}: the last line was torn by a kill and is judged again")
                    os.ftruncate(self._file, offset)
                    break
                raise LedgerError(
                    f"{self.path}, line {number}: not a verdict; move the file away, or choose "
                    "another place with --output"
                )
            if self._is_own(entry):
                self._own += 1
                if entry.get("error") is None:
                    digest = _digest(entry["id"], entry["key"])
                    self._kept.setdefault(digest, []).append(offset)
            end = offset + len(line)
        return end

    def _is_own(self, entry: dict[str, Any]) -> bool:
        return entry["judge"] == self.judge and entry["criterion"] == self.criterion

    def take(self, position: int, sample_id: str, key: str) -> Verdict | None:
        """The verdict that is there already for this row; it need not be made again."""
        offsets = self._kept.get(_digest(sample_id, key))
        if not offsets:
            return None
        self._place(position, offsets[0])
        return Verdict.model_validate_json(_line_at(self._file, offsets.pop(0)))

    def append(self, position: int, verdict: Verdict) -> None:
        """Write one verdict; it survives a kill from here on.

        Raises:
            LedgerError: the disk is full or gone. What was written before is whole.
        """
        line = verdict.to_json().encode("utf-8") + b"\n"
        try:
            os.lseek(self._file, self._end, os.SEEK_SET)
            rest = memoryview(line)
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError as error:
            os.ftruncate(self._file, self._end)  # no half line stays behind
            raise LedgerError(
                f"{self.path}: cannot write: {error.strerror}; the verdicts so far are kept, "
                "make room and run the same command again"
            ) from None
        self._place(position, self._end)
        self._end += len(line)

    def _place(self, position: int, offset: int) -> None:
        if position >= len(self._lines):
            self._lines.extend([0] * (position + 1 - len(self._lines)))
        self._lines[position] = offset + 1

    def finish(self, whole: bool = True) -> None:
        """Put this run's lines in the order of the rows; move stale ones aside.

        Args:
            whole: this run asked for all rows; otherwise verdicts it did not ask for stay, before
                its own.
        """
        mine = [mark - 1 for mark in self._lines if mark]
        listed = set(mine)
        if mine == sorted(mine) and all(o in listed or not own for o, own in self._owners()):
            return
        part = self.path.with_name(f".{self.path.name}.part")
        stale = self.path.with_name(f"{self.path.stem}.stale.jsonl")
        replaced = 0
        try:
            with self.path.open("rb") as old, part.open("wb") as new, stale.open("ab") as aside:
                for offset, own in self._owners():
                    if not own or offset not in listed:
                        old.seek(offset)
                        line = old.readline()
                        good = (_entry(line) or {}).get("error") is None
                        if not own or (good and not whole):
                            new.write(line)
                        elif good:
                            aside.write(line)
                            replaced += 1
                for offset in mine:
                    old.seek(offset)
                    new.write(old.readline())
                new.flush()
                os.fsync(new.fileno())
            part.replace(self.path)
            if not stale.stat().st_size:
                stale.unlink()
        except OSError as error:
            part.unlink(missing_ok=True)
            raise LedgerError(
                f"{self.path}: cannot put the lines in order: {error.strerror}; all verdicts are "
                "there, run the same command again when there is room"
            ) from None
        if replaced:
            self.warn(
                f"{replaced} stale verdicts (other model, prompt, settings or rows) → {stale}"
            )

    def _owners(self) -> Iterator[tuple[int, bool]]:
        for offset, line in _lines(self.path):
            entry = _entry(line)
            yield offset, entry is not None and self._is_own(entry)

    def close(self) -> None:
        """Give the file back."""
        os.close(self._file)
        Path(self._lock.lock_file).unlink(missing_ok=True)
        self._lock.release()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def read_verdicts(path: Path) -> Iterator[Verdict]:
    """Stream a ledger's verdicts.

    Raises:
        LedgerError: no such file, or a line is not a verdict (names it).
    """
    try:
        for number, (_, line) in enumerate(_lines(path), start=1):
            if line.isspace():
                continue
            try:
                yield Verdict.model_validate_json(line)
            except ValueError:
                raise LedgerError(
                    f"{path}, line {number}: not a verdict; give a file that `mene judge` wrote"
                ) from None
    except OSError as error:
        raise LedgerError(f"{path}: cannot read: {error.strerror}") from None


def _lines(path: Path) -> Iterable[tuple[int, bytes]]:
    offset = 0
    with path.open("rb") as file:
        for line in file:
            yield offset, line
            offset += len(line)


def _line_at(file: int, offset: int) -> bytes:
    """The line that begins at ``offset``."""
    with os.fdopen(os.dup(file), "rb") as copy:
        copy.seek(offset)
        return copy.readline()


def _entry(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    if not isinstance(entry, dict) or not {"id", "criterion", "judge", "key"} <= entry.keys():
        return None
    return entry


def _digest(sample_id: str, key: str) -> int:
    raw = hashlib.blake2b(f"{sample_id}\0{key}".encode("utf-8", "surrogatepass"), digest_size=8)
    return int.from_bytes(raw.digest(), "big")
