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
from functools import cache
from pathlib import Path
from typing import Any

from mene.errors import ModelError, UsageError
from mene.files import whole

PIECE = 8 << 20  # bytes copied at once
HOSTED = ("hdfs", "viewfs")  # whose addresses begin with a host, others' with a bucket
# What stores say where there are no credentials, or the wrong ones.
DENIED = (
    "access_denied", "access denied", "access_key", "access key", "signature", "forbidden", "credential",
    "unauthor", "unauthenticated", "401", "403", "anonymous",
)  # fmt: skip
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+)://", re.I)
WILD = re.compile(r"[*?\[]")


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
    with _told(path):
        files, inner = _remote(path)
        try:
            with files.open_input_stream(inner, compression=None) as file:
                return file.read()
        except FileNotFoundError:
            return None
    raise AssertionError  # `_told` lets nothing through


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
    with _told(path):
        files, inner = _remote(path)
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
    with _told(path):
        files, inner = _remote(path)
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
    with _told(path):
        files, inner = _remote(path)
        files.move(inner, _remote(target)[1])


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
    with _told(folder):
        return {i.path.rpartition("/")[2]: i.size for i in _listed(folder, recursive=False)}
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
    with _told(folder):
        start = _remote(folder)[1].strip("/") + "/"
        found = _listed(folder, recursive=True)
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
    with _told(path):
        files, inner = _remote(path)
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
    found = _expand_remote(given, endings) if is_remote(given) else _expand_local(given, endings)
    if not found:
        if WILD.search(given):
            raise UsageError(f"{given}: no file has such a name; check the pattern, and quote it")
        raise UsageError(f"{given}: no table in it; tables end in {', '.join(endings)}")
    return found


def _expand_local(given: str, endings: tuple[str, ...]) -> list[str]:
    if os.path.isdir(given):
        every = glob.iglob(os.path.join(glob.escape(given), "**", "*"), recursive=True)
        return sorted(path for path in every if _is_table(path, endings) and os.path.isfile(path))
    if not os.path.exists(given) and WILD.search(given):
        return sorted(path for path in glob.iglob(given, recursive=True) if os.path.isfile(path))
    if not os.path.exists(given):
        raise UsageError(f"{given}: no such file")
    return [given]


def _expand_remote(given: str, endings: tuple[str, ...]) -> list[str]:
    scheme, _, rest = given.partition("://")
    start, wild = f"{scheme}://", WILD.search(given)
    if scheme.lower() in HOSTED:
        start += f"{rest.partition('/')[0]}/"
    with _told(given):
        if wild:
            folder = given[: wild.start()].rpartition("/")[0]
            fits = re.compile(_pattern(_remote(given)[1].lstrip("/")))
            every = (info.path.lstrip("/") for info in _listed(folder, recursive=True))
            return [start + path for path in every if fits.fullmatch(path) and not _hidden(path)]
        from pyarrow.fs import FileType

        files, inner = _remote(given)
        info = files.get_file_info(inner)
        if info.type == FileType.File:
            return [given]
        if info.type == FileType.NotFound:
            raise UsageError(f"{given}: no such file")
        every = (info.path.lstrip("/") for info in _listed(given, recursive=True))
        return [start + path for path in every if _is_table(path, endings)]
    raise AssertionError


def _pattern(inner: str) -> str:
    """A glob as a regular expression: ``**/`` is any folders, ``*`` and ``?`` stay in one."""
    kinds = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    parts = re.split(r"(\*\*/|\*\*|\*|\?|\[[^\]]*\])", inner)
    return "".join(
        kinds.get(part, part if part[:1] == "[" and part[-1:] == "]" else re.escape(part))
        for part in parts
    )


def _hidden(path: str) -> bool:
    return path.replace(os.sep, "/").rpartition("/")[2][:1] in ("", ".", "_")


def _is_table(path: str, endings: tuple[str, ...]) -> bool:
    name = path.replace(os.sep, "/").rpartition("/")[2]
    return not _hidden(path) and name.lower().removesuffix(".gz").endswith(endings)


def _listed(folder: str, recursive: bool) -> list[Any]:
    """The files in a remote folder: ``path``, without the scheme, and ``size`` of each."""
    from pyarrow.fs import FileSelector, FileType

    files, inner = _remote(folder)
    selector = FileSelector(inner.rstrip("/"), recursive=recursive, allow_not_found=True)
    found = (info for info in files.get_file_info(selector) if info.type == FileType.File)
    return sorted(found, key=lambda info: info.path)


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
        with _told(path):
            files, inner = _remote(path)
            with files.open_input_stream(inner, compression=None) as source, open(copy, "wb") as to:
                while piece := source.read(PIECE):
                    to.write(piece)
        yield copy


@cache
def _filesystem(scheme: str, host: str) -> Any:
    """The file system for a kind of address; its settings and credentials come from the environment, as everywhere else."""
    try:
        from pyarrow import fs
    except ImportError:
        raise ModelError(f'{scheme}:// needs pyarrow; run: pip install "mene[ray]"') from None
    try:
        if scheme == "gs":
            return fs.GcsFileSystem()
        if scheme == "s3":
            return _s3(fs, host)
        found, _ = fs.FileSystem.from_uri(f"{scheme}://{host}")
        return found
    except (ValueError, NotImplementedError):
        pass
    try:
        import fsspec

        return fs.PyFileSystem(fs.FSSpecHandler(fsspec.filesystem(scheme)))
    except (ImportError, ValueError) as error:
        raise UsageError(
            f"{scheme}://: neither pyarrow nor fsspec can read it here ({error}); install fsspec's package for it"
        ) from None


def _s3(fs: Any, bucket: str) -> Any:
    """S3, or a store like it at ``AWS_ENDPOINT_URL``. A small object is put in one request, where a stream would take three."""
    get = os.environ.get
    endpoint = get("AWS_ENDPOINT_URL_S3") or get("AWS_ENDPOINT_URL") or ""
    kind, _, place = endpoint.rpartition("://")
    region = get("AWS_REGION") or get("AWS_DEFAULT_REGION")
    if not region and not endpoint:
        region = fs.resolve_s3_region(bucket)
    return fs.S3FileSystem(
        region=region,
        endpoint_override=place or None,
        scheme=kind or "https",
        allow_delayed_open=True,
        connect_timeout=10,
    )


def _remote(path: str) -> tuple[Any, str]:
    scheme, _, rest = path.partition("://")
    host, _, inner = rest.partition("/")
    # HDFS is reached at its host; elsewhere the first part of the path is the bucket.
    if scheme.lower() in HOSTED:
        return _filesystem(scheme.lower(), host), f"/{inner}"
    return _filesystem(scheme.lower(), host), rest


@contextmanager
def _told(path: str) -> Iterator[None]:
    """Errors of a file system as ours: what is wrong, and what to do."""
    try:
        yield
    except (UsageError, ModelError):
        raise
    except Exception as error:  # pyarrow raises OSError, fsspec's file systems what they like
        said = " ".join(str(error).split())[:300] or type(error).__name__
        low = said.lower()
        hint = "try again"
        if any(word in low for word in DENIED):
            hint = "set the credentials of the store (AWS_ACCESS_KEY_ID …, GOOGLE_APPLICATION_CREDENTIALS …)"
        elif "does not exist" in low or "not found" in low or "nosuchbucket" in low:
            hint = "check the bucket's name"
        raise UsageError(f"{path}: {said}; {hint}") from None
