"""A file of JSON lines with one writer: a line that was written survives a kill.

What the lines hold is the business of those who write them: verdicts (``ledger.py``), a teacher's answers
(``curate/critiques/kept.py``).
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
except ImportError:  # Windows: the lock beside the file has to do
    fcntl = None

PIECE = 4096  # bytes; most lines have fewer

Line = TypeVar("Line")
Model = TypeVar("Model", bound=BaseModel)


class Lines(Generic[Line]):
    """An open file of JSON lines, locked against other processes. Lines are appended whole.

    A link stays a link: the file that it names is written, and locked under all of its names.

    Args:
        path: the file; made if it is not there, and gone again if no line comes.
        what: a line holds, in messages: ``verdict``.
        start: what every line begins with.
        parse: a line as what it holds; raises ValueError with the reason where it is something else.
        index: told the offset (bytes) and the content of every line that is there already.
        warn: told about repairs.

    Raises:
        LedgerError: in use by another process, not writable, or a file of something else.
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
            if not Path(self._lock.lock_file).exists():  # it cannot even be made
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
        with suppress(PermissionError):  # Windows removes no file that is open: `release` does it
            Path(self._lock.lock_file).unlink(missing_ok=True)
        self._lock.release()

    def _in_use(self) -> LedgerError:
        return LedgerError(
            f"{self.path} is being written by another mene process; wait for it, or choose another "
            "file with --output"
        )

    def _open(self) -> int:
        try:
            # Windows would write other ends of lines than are counted here.
            binary = getattr(os, "O_BINARY", 0)
            file = os.open(self.real, os.O_RDWR | os.O_CREAT | binary, 0o666)
        except OSError as error:
            raise LedgerError(
                f"{self.path}: cannot write: {error.strerror}; choose another file with --output"
            ) from None
        try:
            # The lock beside the file has the file's name. This one has the file, so that a second name (a hard link)
            # does not let a second writer in.
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                os.close(file)
                raise self._in_use() from None  # else a file system without locks
        return file

    def _read(
        self,
        parse: Callable[[bytes], Line],
        index: Callable[[int, Line], None],
        warn: Callable[[str], None],
    ) -> int:
        """Index the lines that are there; cut off a torn last one. Returns the end of the file."""
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
                # Lines are written whole, so only a kill leaves one without its end. A file whose
                # only line is torn must at least begin like one of ours to be taken for one.
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
        """Write one line; it survives a kill from here on. Returns its offset in bytes.

        Raises:
            LedgerError: the disk is full or gone. What was written before is whole.
        """
        line = text.encode("utf-8") + b"\n"
        try:
            os.lseek(self._file, self.end, os.SEEK_SET)
            rest = line
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError as error:
            os.ftruncate(self._file, self.end)  # no half line stays behind
            raise LedgerError(
                f"{self.path}: cannot write: {error.strerror}; the {self.what}s so far are saved; "
                "free disk space and run the same command again"
            ) from None
        self.end += len(line)
        return self.end - len(line)

    def at(self, offset: int) -> bytes:
        """The line that begins at ``offset``."""
        os.lseek(self._file, offset, os.SEEK_SET)
        line = b""
        while b"\n" not in line and (more := os.read(self._file, PIECE)):
            line += more
        return line[: line.find(b"\n") + 1] or line

    def rewrite(self, lines: Iterable[bytes]) -> None:
        """Put a file of these lines in the place of this one. They may be read from this one.

        Raises:
            OSError: it cannot be written; the old one stays.
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
        """``rewrite`` on Windows, which replaces no file that is open. The lock beside it keeps others out meanwhile."""
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
        """Give the file back."""
        os.close(self._file)
        if self._is_new and not self.end:
            self.real.unlink(missing_ok=True)
        self._unlock()


def read_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The offset (bytes) and the bytes of every line."""
    offset = 0
    with path.open("rb") as file:
        for line in file:
            yield offset, line
            offset += len(line)


def parse_line(model: type[Model], line: bytes, keys: Iterable[str]) -> Model:
    """What a line of JSON holds.

    Args:
        keys: that must be there, whether the model has a default for them or not.

    Raises:
        ValueError: names the first field that is wrong, and why.
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
    """What to say of a line that holds something else; where it is the first, of the whole file, which may be a user's data."""
    article = "an" if what[0] in "aeiou" else "a"
    hint = "correct or remove this line, or give another file"
    if first:
        hint = f"this file does not hold {what}s; give another one"
    return f"{path}, line {number}: not {article} {what}: {reason}; {hint}"
