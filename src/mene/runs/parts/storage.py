"""Files and folders anywhere: on this machine, or at ``s3://``, ``gs://``, ``hdfs://`` and whatever else fsspec knows.

Local files need no further package. Others are reached by pyarrow's own file systems (S3, Google Cloud Storage, HDFS, Azure),
and those that pyarrow has not by fsspec. A file is written whole or not at all: an object store keeps an object only once all
of it has arrived, and a local file takes its name at the end (``mene.files``).
"""

from __future__ import annotations

import glob
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mene.errors import UsageError
from mene.files import whole
from mene.runs.parts.remote import WILD, expand_remote, is_table, listed, reached, told

PIECE = 8 << 20  # bytes copied at once

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+)://", re.I)


def is_remote(path: str) -> bool:
    """Is it an address with a scheme, like ``s3://bucket/rows.jsonl``?"""
    return _SCHEME.match(path) is not None


def joined(folder: str, name: str) -> str:
    """A file in a folder."""
    return f"{folder.rstrip('/')}/{name}" if is_remote(folder) else os.path.join(folder, name)


def read_bytes(path: str) -> bytes | None:
    """What a file holds; None where it is not there.

    Raises:
        UsageError: it cannot be read.
    """
    if not is_remote(path):
        try:
            return Path(path).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise UsageError(f"{path}: cannot read: {error.strerror}") from None
    with told(path):
        files, inner = reached(path)
        try:
            with files.open_input_stream(inner, compression=None) as file:
                return file.read()
        except FileNotFoundError:
            return None
    raise AssertionError  # `told` lets nothing through


def write_bytes(path: str, content: bytes) -> None:
    """Write a file, whole or not at all.

    Raises:
        UsageError: it cannot be written.
    """
    if not is_remote(path):
        try:
            _write_local(Path(path), content)
        except OSError as error:
            raise UsageError(f"{path}: cannot write: {error.strerror}") from None
        return
    with told(path):
        files, inner = reached(path)
        with files.open_output_stream(inner, compression=None) as file:
            file.write(content)


def _write_local(path: Path, content: bytes) -> None:
    """Two writers of one part write the same, so neither needs to know of the other: each has a name of its own until the end."""
    begun = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with begun.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(begun, path)
    except BaseException:
        begun.unlink(missing_ok=True)
        raise


def remove(path: str) -> None:
    """Remove a file; one that is not there is fine."""
    if not is_remote(path):
        Path(path).unlink(missing_ok=True)
        return
    with told(path):
        files, inner = reached(path)
        try:
            files.delete_file(inner)
        except FileNotFoundError:
            return


def move(path: str, target: str) -> None:
    """Give a file another name in the same place."""
    if not is_remote(path):
        Path(target).parent.mkdir(exist_ok=True)
        os.replace(path, target)
        return
    with told(path):
        files, inner = reached(path)
        files.move(inner, reached(target)[1])


def sizes_in(folder: str) -> dict[str, int]:
    """The files in a folder, name -> bytes, sorted; none where there is no such folder.

    Raises:
        UsageError: it cannot be read.
    """
    if not is_remote(folder):
        try:
            entries = [entry for entry in os.scandir(folder) if entry.is_file()]
            return {entry.name: entry.stat().st_size for entry in sorted(entries, key=_name)}
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise UsageError(f"{folder}: cannot read: {error.strerror}") from None
    with told(folder):
        return {i.path.rpartition("/")[2]: i.size for i in listed(folder, recursive=False)}
    raise AssertionError


def _name(entry: os.DirEntry[str]) -> str:
    return entry.name


def files_under(folder: str) -> list[str]:
    """Files in a folder and in those in it, by their names from there on, sorted; none where there is no such folder.

    Raises:
        UsageError: it cannot be read.
    """
    if not is_remote(folder):
        every = (path for path in Path(folder).rglob("*") if path.is_file())
        return sorted(path.relative_to(folder).as_posix() for path in every)
    with told(folder):
        start = reached(folder)[1].strip("/") + "/"
        found = listed(folder, recursive=True)
        return [info.path.lstrip("/").removeprefix(start) for info in found]
    raise AssertionError


def send_file(source: Path, path: str) -> None:
    """Copy a file of this machine to another place, whole or not at all, however large.

    Raises:
        UsageError: it cannot be written.
    """
    if not is_remote(path):
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            with whole(Path(path)) as to, source.open("rb") as file:
                shutil.copyfileobj(file, to, PIECE)
        except OSError as error:
            raise UsageError(f"{path}: cannot write: {error.strerror}") from None
        return
    with told(path):
        files, inner = reached(path)
        with files.open_output_stream(inner, compression=None) as to, source.open("rb") as file:
            while piece := file.read(PIECE):
                to.write(piece)


def fetch_file(path: str, target: Path) -> None:
    """Copy a file of another place to this machine, whole or not at all.

    Raises:
        UsageError: it is not there, or cannot be read.
    """
    with local_copy(path) as copy:
        try:
            with whole(target) as to, open(copy, "rb") as file:
                shutil.copyfileobj(file, to, PIECE)
        except OSError as error:
            raise UsageError(f"{target}: cannot write: {error.strerror}") from None


def make_folder(folder: str) -> None:
    """Make a folder, and see that files can be written to it.

    Raises:
        UsageError: they cannot.
    """
    if not is_remote(folder):
        try:
            Path(folder).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"{folder}: cannot write here: {error.strerror}; use -o") from None
    probe = joined(folder, ".probe")
    write_bytes(probe, b"mene\n")
    remove(probe)


def expand(given: str, endings: tuple[str, ...]) -> list[str]:
    """The files that a path, a folder or a pattern names, sorted. A folder names those with one of ``endings`` in it, at any
    depth; hidden files are left out.

    Raises:
        UsageError: none; or the place cannot be read (no such bucket, no credentials).
    """
    found = expand_remote(given, endings) if is_remote(given) else _expand_local(given, endings)
    if not found:
        if WILD.search(given):
            raise UsageError(f"{given}: no file has such a name; check the pattern, and quote it")
        raise UsageError(f"{given}: no table in it; tables end in {', '.join(endings)}")
    return found


def _expand_local(given: str, endings: tuple[str, ...]) -> list[str]:
    if os.path.isdir(given):
        every = glob.iglob(os.path.join(glob.escape(given), "**", "*"), recursive=True)
        return sorted(path for path in every if is_table(path, endings) and os.path.isfile(path))
    if not os.path.exists(given) and WILD.search(given):
        return sorted(path for path in glob.iglob(given, recursive=True) if os.path.isfile(path))
    if not os.path.exists(given):
        raise UsageError(f"{given}: no such file")
    return [given]


@contextmanager
def local_copy(path: str) -> Iterator[str]:
    """The file itself, or a copy on this machine's disk as long as the block lasts: a table is read from its start to its end,
    some forms from both.

    Raises:
        UsageError: it is not there, or there is no room for it.
    """
    if not is_remote(path):
        yield path
        return
    import tempfile

    with tempfile.TemporaryDirectory(prefix="mene-") as folder:
        copy = os.path.join(folder, path.rpartition("/")[2])
        with told(path):
            files, inner = reached(path)
            with files.open_input_stream(inner, compression=None) as source, open(copy, "wb") as to:
                while piece := source.read(PIECE):
                    to.write(piece)
        yield copy
