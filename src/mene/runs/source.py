"""The bytes and the text of a table, in any common encoding.

Plain or gzip, UTF-8 or UTF-16, a file or standard input, with or without a byte order mark. Line length and decompressed
size are limited.
"""

from __future__ import annotations

import codecs
import gzip
import io
import os
import re
import shlex
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from mene.errors import UsageError

STDIN = "-"
LONGEST_LINE = 64 * 2**20  # characters
# Limits of decompressed size: this many bytes, or this many times the file's own size.
UNPACKED, TIMES = 256 * 2**20, 200
ESCAPE = "mene-escape"
ESCAPED = re.compile("[\udc00-\udcff]")
VALID = re.compile("[\x80-\ud7ff\ue000-\U0010ffff]")  # a validly encoded character beyond ASCII
LOOKED_AT = 4 * 2**20  # characters examined
MARKS = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def shown(path: str) -> str:
    """Return the file's name for messages."""
    return "standard input" if path == STDIN else path


def _escape(error: UnicodeError) -> tuple[str, int]:
    """An error handler like ``surrogateescape``, which does not work for UTF-16, where any byte may be bad."""
    assert isinstance(error, UnicodeDecodeError)
    bad = error.object[error.start : error.end]
    return "".join(chr(0xDC00 + byte) for byte in bad), error.end


codecs.register_error(ESCAPE, _escape)


@contextmanager
def open_text(path: str) -> Iterator[io.TextIOWrapper]:
    """Open a table's text. Bytes that are not UTF-8 (or UTF-16) become lone surrogates; see ``not_utf8``.

    Raises:
        UsageError: the file does not exist, is damaged, or decompresses to more than the limit.
    """
    try:
        with _open(path) as file:
            head, whole = _peek(file, 2)
            stream: Any = whole
            if head[:2] == b"\x1f\x8b":
                size = None if path == STDIN else os.path.getsize(path)
                stream = io.BufferedReader(_Unpacked(whole, shown(path), size))
            elif path.lower().endswith(".gz"):
                raise gzip.BadGzipFile("it does not begin like one")
            head, whole = _peek(stream, 4)
            if head == b"PAR1":
                raise UsageError(
                    f"{shown(path)} is Parquet: give it as a file that ends in .parquet"
                )
            text = io.TextIOWrapper(whole, _encoding(head), ESCAPE, newline="\n")
            try:
                yield text
            finally:
                text.detach()
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise UsageError(f"{shown(path)}: damaged gzip file: {error}") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"{shown(path)}: cannot read: {reason}") from None


@contextmanager
def _open(path: str) -> Iterator[IO[bytes]]:
    if path != STDIN:
        with open(path, "rb") as file:
            yield file
        return
    if sys.stdin is None:
        raise UsageError("standard input is closed: name a file, or pipe the rows in")
    # Unbuffered below: a reader on top of sys.stdin's own buffer would wait until that is full.
    yield io.BufferedReader(getattr(sys.stdin.buffer, "raw", sys.stdin.buffer))  # type: ignore[arg-type]


def _peek(stream: Any, size: int) -> tuple[bytes, Any]:
    """Return the first bytes, and a stream that still begins with them. A pipe may deliver them one by one."""
    head = b""
    while len(head) < size and (more := stream.read1(size - len(head))):
        head += more
    return head, io.BufferedReader(_Again(head, stream))


def _encoding(head: bytes) -> str:
    if head[:4] in MARKS[:2]:
        return "utf-32"
    if head[:2] in MARKS[2:]:
        return "utf-16"
    if len(head) == 4:  # no byte order mark, but every second byte is zero
        empty = [not byte for byte in head]
        if empty in ([False, True] * 2, [True, False] * 2):
            return "utf-16-be" if empty[0] else "utf-16-le"
    return "utf-8-sig"


class _Again(io.RawIOBase):
    """A stream of some bytes already read, followed by the rest of their stream."""

    def __init__(self, head: bytes, rest: Any) -> None:
        self.head, self.rest = head, rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        found = self.head or self.rest.read1(len(buffer))
        found, self.head = found[: len(buffer)], found[len(buffer) :]
        buffer[: len(found)] = found
        return len(found)


class _Unpacked(io.RawIOBase):
    """The decompressed bytes of a gzip stream, up to a limit."""

    def __init__(self, packed: Any, name: str, size: int | None) -> None:
        self.stream, self.name, self.left = gzip.GzipFile(fileobj=packed), name, UNPACKED
        self.limit = self.left = max(UNPACKED, TIMES * size) if size else UNPACKED

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        found = self.stream.read1(len(buffer))
        self.left -= len(found)
        if self.left < 0:
            raise UsageError(
                f"{self.name} unpacks to more than {self.limit // 2**20} MB, which is unusual for a "
                "table; unpack it yourself if that is right"
            )
        buffer[: len(found)] = found
        return len(found)


def lines(text: io.TextIOWrapper) -> Iterator[tuple[str, bool]]:
    """Yield every line with its ending, and whether it is complete; an overlong line is cut and its rest skipped."""
    while line := text.readline(LONGEST_LINE):
        whole = len(line) < LONGEST_LINE or line[-1] == "\n"
        yield line, whole  # the caller may read the rest before it is skipped
        if not whole:
            while (rest := text.readline(LONGEST_LINE)) and rest[-1] != "\n":
                pass


def not_utf8(text: str) -> str | None:
    """Return an error message where a text contains bytes that were not UTF-8; else None."""
    if text.isascii() or (bad := ESCAPED.search(text)) is None:
        return None
    return f"not valid UTF-8 (byte 0x{ord(bad[0]) - 0xDC00:02x} at {bad.start()}); save it as UTF-8"


def other_encoding(path: str) -> str | None:
    """Return a message where a file seems to be in an encoding other than UTF-8, judging by its beginning.

    Where some characters are valid UTF-8 and others are not, the file is damaged UTF-8: None, as for a valid file.
    """
    with open_text(path) as text:
        start = text.read(LOOKED_AT)
    runs = re.findall(f"{ESCAPED.pattern}+", start)
    if not runs or VALID.search(start):
        return None
    # In western languages, characters beyond ASCII mostly occur singly; in other languages, in sequences.
    alone = sum(len(run) == 1 for run in runs)
    guess, command = "", ""
    if 2 * alone >= len(runs):
        guess = " (it seems to be Windows-1252 or Latin-1)"
        command = f", e.g. with `iconv -f WINDOWS-1252 -t UTF-8 {shlex.quote(path)} > FILE`"
    return f"{path} is not UTF-8{guess}: rows with more than ASCII in them cannot be read. Save it as UTF-8{command}"
