"""Files on remote storage, through pyarrow's file systems or fsspec, and clear messages for their errors."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from mene.errors import ModelError, UsageError

HOSTED = ("hdfs", "viewfs")  # addresses that begin with a host; all others begin with a bucket
WILD = re.compile(r"[*?\[]")
# Error texts of stores about missing or wrong credentials.
DENIED = (
    "access_denied", "access denied", "access_key", "access key", "signature", "forbidden", "credential",
    "unauthor", "unauthenticated", "status 401", "status 403", "anonymous",
)  # fmt: skip


@cache
def _filesystem(scheme: str, host: str) -> Any:
    """Return the file system for an address scheme; settings and credentials come from the environment, as usual."""
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
    """Return S3, or a compatible store at ``AWS_ENDPOINT_URL``. Small objects take one request, where a stream takes three."""
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


def reached(path: str) -> tuple[Any, str]:
    """Return the file system of an address, and the path in it.

    Raises:
        UsageError, ModelError: no installed package reads such addresses.
    """
    scheme, _, rest = path.partition("://")
    host, _, inner = rest.partition("/")
    # HDFS is reached at its host; for all others the path begins with the bucket.
    if scheme.lower() in HOSTED:
        return _filesystem(scheme.lower(), host), f"/{inner}"
    return _filesystem(scheme.lower(), host), rest


@contextmanager
def told(path: str) -> Iterator[None]:
    """Convert a file system's errors into mene's, with the cause and the next step."""
    try:
        yield
    except (UsageError, ModelError):
        raise
    except Exception as error:  # pyarrow raises OSError, fsspec's file systems anything
        said = " ".join(str(error).split())[:300] or type(error).__name__
        low = said.lower()
        hint = "try again"
        if any(word in low for word in DENIED):
            hint = "set the credentials of the store (AWS_ACCESS_KEY_ID …, GOOGLE_APPLICATION_CREDENTIALS …)"
        elif "does not exist" in low or "not found" in low or "nosuchbucket" in low:
            hint = "check the bucket's name"
        raise UsageError(f"{path}: {said}; {hint}") from None


def listed(folder: str, recursive: bool) -> list[Any]:
    """Return the files in a remote folder: ``path``, without the scheme, and ``size`` of each."""
    from pyarrow.fs import FileSelector, FileType

    files, inner = reached(folder)
    selector = FileSelector(inner.rstrip("/"), recursive=recursive, allow_not_found=True)
    found = (info for info in files.get_file_info(selector) if info.type == FileType.File)
    return sorted(found, key=lambda info: info.path)


def expand_remote(given: str, endings: tuple[str, ...]) -> list[str]:
    """``storage.expand`` for a remote address."""
    scheme, _, rest = given.partition("://")
    start, wild = f"{scheme}://", WILD.search(given)
    if scheme.lower() in HOSTED:
        start += f"{rest.partition('/')[0]}/"
    with told(given):
        files, inner = reached(given)
        from pyarrow.fs import FileType

        info = files.get_file_info(inner)
        if info.type == FileType.File:  # also one whose name looks like a pattern
            return [given]
        if wild:
            folder = given[: wild.start()].rpartition("/")[0]
            fits = re.compile(pattern(inner.lstrip("/")))
            every = (info.path.lstrip("/") for info in listed(folder, recursive=True))
            return [start + path for path in every if fits.fullmatch(path) and not hidden(path)]
        if info.type == FileType.NotFound:
            raise UsageError(f"{given}: no such file; check the address")
        every = (info.path.lstrip("/") for info in listed(given, recursive=True))
        return [start + path for path in every if is_table(path, endings)]
    raise AssertionError


def pattern(inner: str) -> str:
    """Return a glob as a regular expression: ``**/`` matches any folders, ``*`` and ``?`` do not cross a ``/``."""
    kinds = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    parts = re.split(r"(\*\*/|\*\*|\*|\?|\[[^\]]*\])", inner)
    made = []
    for part in parts:
        if part[:1] == "[" and part[-1:] == "]":
            made.append(part.replace("[!", "[^", 1))
        else:
            made.append(kinds.get(part) or re.escape(part))
    return "".join(made)


def hidden(path: str) -> bool:
    """Return whether a file is hidden by its name (``.name``, ``_name``)."""
    return path.replace(os.sep, "/").rpartition("/")[2][:1] in ("", ".", "_")


def is_table(path: str, endings: tuple[str, ...]) -> bool:
    """Return whether a file has a table's ending, compressed or not."""
    name = path.replace(os.sep, "/").rpartition("/")[2]
    return not hidden(path) and name.lower().removesuffix(".gz").endswith(endings)
