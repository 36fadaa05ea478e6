"""Files and folders, local or at ``s3://``, ``gs://``, ``hdfs://`` and whatever else fsspec supports.

Local files need no further package. Remote ones use pyarrow's own file systems (S3, Google Cloud Storage, HDFS, Azure), or
else fsspec. A file is written completely or not at all: an object store publishes an object only once all of it has
arrived, and a local file gets its name at the end (``mene.files``).
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

from mene.errors import UsageError, nearest_file
from mene.files import whole
from mene.runs.parts.remote import WILD, expand_remote, is_table, listed, reached, told

PIECE = 8 << 20  # bytes copied at once

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+)://", re.I)


def is_remote(path: str) -> bool:
    """Return whether a path is an address with a scheme, like ``s3://bucket/rows.jsonl``."""
    return _SCHEME.match(path) is not None


def joined(folder: str, name: str) -> str:
    """Return the path of a file in a folder."""
    return f"{folder.rstrip('/')}/{name}" if is_remote(folder) else os.path.join(folder, name)


def read_bytes(path: str) -> bytes | None:
    """Return the content of a file; None where it does not exist.

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
    raise AssertionError  # `told` converts or raises all errors


def write_bytes(path: str, content: bytes) -> None:
    """Write a file, completely or not at all.

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
    """Two writers of one part write the same content, so they need no lock: each uses its own temporary name."""
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
    """Remove a file, if it exists."""
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
    """Rename a file within its storage."""
    if not is_remote(path):
        Path(target).parent.mkdir(exist_ok=True)
        os.replace(path, target)
        return
    with told(path):
        files, inner = reached(path)
        files.move(inner, reached(target)[1])


def sizes_in(folder: str) -> dict[str, int]:
    """Return the files in a folder, name -> bytes, sorted; empty where the folder does not exist.

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
    """Return the relative paths of files below a folder, at any depth, sorted; empty where the folder does not exist.

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
    """Copy a local file to another place, completely or not at all, whatever its size.

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
    """Copy a file from another place to this machine, completely or not at all.

    Raises:
        UsageError: it does not exist, or cannot be read.
    """
    with local_copy(path) as copy:
        try:
            with whole(target) as to, open(copy, "rb") as file:
                shutil.copyfileobj(file, to, PIECE)
        except OSError as error:
            raise UsageError(f"{target}: cannot write: {error.strerror}") from None


def make_folder(folder: str) -> None:
    """Create a folder, and check that it is writable.

    Raises:
        UsageError: it cannot be created, or is not writable.
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
    """Return the files of a path, a folder or a glob pattern, sorted. A folder stands for the files in it, at any depth, with
    one of ``endings``; hidden files are left out.

    Raises:
        UsageError: nothing matches, or the place cannot be read (no such bucket, no credentials).
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
        raise UsageError(f"{given}: no such file{nearest_file(Path(given)) or '; check the path'}")
    return [given]


@contextmanager
def local_copy(path: str) -> Iterator[str]:
    """Yield the path of a local file, or of a temporary local copy of a remote one: tables are read from start to end, and some
    formats need random access.

    Raises:
        UsageError: it does not exist, or the disk is full.
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
