"""A file of JSON lines with one writer; every written line survives a kill.

The content is up to the caller: verdicts (``ledger.py``), or a teacher's answers (``curate/critiques/kept.py``).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Generic, TypeVar

from filelock import FileLock, Timeout
from pydantic import BaseModel, ValidationError

from mene.errors import LedgerError
from mene.files import whole

try:
    import fcntl
except ImportError:  # Windows: only the lock file beside it
    fcntl = None

PIECE = 4096  # bytes; most lines are shorter

Line = TypeVar("Line")
Model = TypeVar("Model", bound=BaseModel)


class Lines(Generic[Line]):
    """An open file of JSON lines, locked against other processes. Lines are appended completely or not at all.

    A symbolic link stays one: its target is written, and locked under all of its names.

    Args:
        path: the file; created if it does not exist, and removed again if no line is written.
        what: a noun for a line in messages: ``verdict``.
        start: how every line begins.
        parse: converts a line; raises ValueError with the reason where it is something else.
        index: called with the offset (bytes) and the content of every existing line.
        warn: called with messages about repairs.

    Raises:
        LedgerError: the file is in use by another process, not writable, or something else.
    """

    def __init__(
        self,
        path: Path,
        what: str,
        start: str,
        parse: Callable[[bytes], Line],
        index: Callable[[int, Line], None],
        warn: Callable[[str], None],
    ) -> None:
        self.path, self.what, self.start = path, what, start.encode()
        self.real = Path(os.path.realpath(path))
        folder = self.real.parent
        if not folder.is_dir():
            raise LedgerError(f"{path}: there is no folder {folder}; make it, or use --output")
        if not os.access(folder, os.W_OK):
            raise LedgerError(f"{path}: cannot write in {folder}; choose another with --output")
        self._lock = FileLock(self.real.with_name(f".{self.real.name}.lock"))
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            if not Path(self._lock.lock_file).exists():  # even the lock file cannot be created
                raise LedgerError(f"{path}: cannot write here; use --output") from None
            raise self._in_use() from None
        except OSError as error:
            raise LedgerError(
                f"{path}: cannot write here: {error.strerror}; use --output"
            ) from None
        self._is_new = not self.real.exists()
        try:
            self._file = self._open()
        except BaseException:
            self._unlock()
            raise
        try:
            self.end = self._read(parse, index, warn)
        except BaseException:
            os.close(self._file)
            self._unlock()
            raise

    def _unlock(self) -> None:
        with suppress(PermissionError):  # Windows does not remove an open file: `release` does it
            Path(self._lock.lock_file).unlink(missing_ok=True)
        self._lock.release()

    def _in_use(self) -> LedgerError:
        return LedgerError(
            f"{self.path} is being written by another mene process; wait for it, or choose another "
            "file with --output"
        )

    def _open(self) -> int:
        try:
            # Windows would translate line endings, and offsets would be wrong.
            binary = getattr(os, "O_BINARY", 0)
            file = os.open(self.real, os.O_RDWR | os.O_CREAT | binary, 0o666)
        except OSError as error:
            raise LedgerError(
                f"{self.path}: cannot write: {error.strerror}; choose another file with --output"
            ) from None
        try:
            # The lock file is tied to the file's name. This lock is tied to the file itself, so that a second name (a hard
            # link)
            # does not admit a second writer.
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                os.close(file)
                raise self._in_use() from None  # otherwise a file system without locks
        return file

    def _read(
        self,
        parse: Callable[[bytes], Line],
        index: Callable[[int, Line], None],
        warn: Callable[[str], None],
    ) -> int:
        """Index the existing lines, and cut off an incomplete last one. Return the end of the file in bytes."""
        end, none = 0, True  # so far
        for number, (offset, line) in enumerate(read_lines(self.real), start=1):
            if line.isspace() and line.endswith(b"\n"):
                end = offset + len(line)
                continue
            try:
                if not line.endswith(b"\n"):
                    raise ValueError("it has no end")
                found = parse(line)
            except ValueError as error:
                # Lines are written whole, so only a kill leaves an incomplete one. A file that consists
                # of one incomplete line must at least begin like ours.
                torn = not line.endswith(b"\n")
                if torn and (number > 1 or self.start.startswith(line[: len(self.start)])):
                    warn(
                        f"{self.path}: the last line is incomplete, because its writer was "
                        f"killed; mene makes its {self.what} again"
                    )
                    os.ftruncate(self._file, offset)
                    break
                raise LedgerError(not_one(self.path, number, self.what, error, none)) from None
            none = False
            index(offset, found)
            end = offset + len(line)
        return end

    def append(self, text: str) -> int:
        """Write one line; from here on it survives a kill. Return its offset in bytes.

        Raises:
            LedgerError: the disk is full or unavailable. Earlier lines are intact.
        """
        line = text.encode("utf-8") + b"\n"
        try:
            os.lseek(self._file, self.end, os.SEEK_SET)
            rest = line
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError as error:
            os.ftruncate(self._file, self.end)  # remove a partly written line
            raise LedgerError(
                f"{self.path}: cannot write: {error.strerror}; the {self.what}s so far are saved; "
                "free disk space and run the same command again"
            ) from None
        self.end += len(line)
        return self.end - len(line)

    def at(self, offset: int) -> bytes:
        """Return the line that begins at ``offset``."""
        os.lseek(self._file, offset, os.SEEK_SET)
        line = b""
        while b"\n" not in line and (more := os.read(self._file, PIECE)):
            line += more
        return line[: line.find(b"\n") + 1] or line

    def rewrite(self, lines: Iterable[bytes]) -> None:
        """Replace the file by one with these lines, which may be read from it meanwhile.

        Raises:
            OSError: the new file cannot be written; the old one stays.
        """
        if fcntl is None:
            self._rewrite_closed(lines)
        else:
            with whole(self.real) as new:
                new.writelines(lines)
            old, self._file = self._file, self._open()
            os.close(old)
        self.end = os.fstat(self._file).st_size

    def _rewrite_closed(self, lines: Iterable[bytes]) -> None:
        """``rewrite`` for Windows, which cannot replace an open file. The lock file keeps other writers out meanwhile."""
        closed = False
        try:
            with whole(self.real) as new:
                new.writelines(lines)
                os.close(self._file)
                closed = True
        finally:
            if closed:
                self._file = self._open()

    def close(self) -> None:
        """Release the file."""
        os.close(self._file)
        if self._is_new and not self.end:
            self.real.unlink(missing_ok=True)
        self._unlock()


def read_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the offset (bytes) and the bytes of every line."""
    offset = 0
    with path.open("rb") as file:
        for line in file:
            yield offset, line
            offset += len(line)


def parse_line(model: type[Model], line: bytes, keys: Iterable[str]) -> Model:
    """Parse a line of JSON.

    Args:
        keys: keys that must be present, even those with a default.

    Raises:
        ValueError: names the first wrong field, and why.
    """
    try:
        found = model.model_validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        said = "unknown field" if first["type"] == "extra_forbidden" else first["msg"]
        raise ValueError(f'field "{where}": {said}' if where else said) from None
    for key in keys:
        if key not in found.model_fields_set:
            raise ValueError(f'there is no field "{key}"')
    return found


def not_one(path: Path, number: int, what: str, reason: ValueError, first: bool) -> str:
    """Return the message about a wrong line; a wrong first line refers to the whole file, which may be a user's data."""
    article = "an" if what[0] in "aeiou" else "a"
    hint = "correct or remove this line, or give another file"
    if first:
        hint = f"this file does not hold {what}s; give another one"
    return f"{path}, line {number}: not {article} {what}: {reason}; {hint}"
