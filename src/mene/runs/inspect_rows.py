"""The samples of an Inspect log in its own format (``.eval``): a zip file with one JSON file per sample.

Inspect compresses with zstd, which Python's ``zipfile`` reads from 3.14 on; before that, ``zstandard`` decompresses.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from mene.errors import UsageError
from mene.runs.exports import named
from mene.runs.json_rows import json_object
from mene.runs.raw import Raw
from mene.runs.source import LONGEST_LINE

ZSTD = 93  # number of the compression method in a zip file
FOLDER = "samples/"
HEAD = 30  # bytes of a member's header before its name


def inspect_rows(path: str) -> Iterator[Raw]:
    """Yield every sample in the order of the log; a damaged one does not affect the others.

    Raises:
        UsageError: not an Inspect log, damaged, or the package to decompress it is not installed.
    """
    with _log(path) as (log, file):
        for member in _samples(log):
            where = f"{path}, {member.filename}"
            try:
                text = _unpacked(log, file, member, path).decode("utf-8")
            except (ValueError, EOFError, OSError, zlib.error, zipfile.BadZipFile) as error:
                yield Raw(where, None, f"damaged: {error}")
                continue
            raw = json_object(text, where)
            yield raw if raw.values is None else raw._replace(values=named(dict(raw.values)))


def inspect_count(path: str) -> int:
    """Return the number of samples."""
    with _log(path) as (log, _):
        return len(_samples(log))


@contextmanager
def _log(path: str) -> Iterator[tuple[zipfile.ZipFile, IO[bytes]]]:
    try:
        with open(path, "rb") as file, zipfile.ZipFile(file) as log:
            yield log, file
    except (zipfile.BadZipFile, struct.error, EOFError) as error:
        raise UsageError(f"{path}: not a log of Inspect, or damaged: {error}") from None
    except OSError as error:
        raise UsageError(f"{path}: cannot read: {error.strerror or error}") from None


def _samples(log: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    names: dict[str, zipfile.ZipInfo] = {}  # a sample that is logged again replaces the earlier one
    for member in log.infolist():
        if member.filename.startswith(FOLDER) and member.filename.endswith(".json"):
            names[member.filename] = member
    return list(names.values())


def _unpacked(log: zipfile.ZipFile, file: IO[bytes], member: zipfile.ZipInfo, path: str) -> bytes:
    """Return a member's decompressed bytes.

    Raises:
        ValueError: it is too long, or its size is not the stated one.
        UsageError: the package to decompress it is not installed.
    """
    if member.file_size > LONGEST_LINE:
        raise ValueError(f"a sample of more than {LONGEST_LINE // 2**20} MB")
    try:
        return log.read(member)
    except NotImplementedError as error:
        if member.compress_type != ZSTD:
            raise ValueError(str(error)) from None
    try:
        import zstandard
    except ImportError:
        raise UsageError(
            f"{path}: this log is packed with zstd; install `zstandard`, or write the log as JSON: "
            f"inspect log convert {path} --to json --output-dir ."
        ) from None
    file.seek(member.header_offset)
    head = file.read(HEAD)
    if len(head) < HEAD:
        raise ValueError("it ends too early")
    name, extra = struct.unpack("<HH", head[26:30])
    file.seek(member.header_offset + HEAD + name + extra)
    packed = file.read(member.compress_size)
    try:
        with zstandard.ZstdDecompressor().stream_reader(packed) as reader:
            found = reader.read(member.file_size + 1)  # a limit, however much is packed in it
    except zstandard.ZstdError as error:
        raise ValueError(str(error)) from None
    if len(found) != member.file_size or zlib.crc32(found) != member.CRC:
        raise ValueError("its content does not match the log's own index")
    return found
