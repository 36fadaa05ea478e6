"""One file over HTTP: resumed, tried again, no longer than declared, checked."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TypeVar

from mene.weights.cache import sha256
from mene.weights.job import AGAIN, CONNECT, Progress, SourceError, first_line

T = TypeVar("T")
TRIES = 5
PAUSE = 1.0  # seconds before the second try; each one waits twice as long, 8 times at most


class Damaged(SourceError):
    """The bytes that arrived are not those that were promised."""


def download(
    url: str,
    target: Path,
    digest: str,
    size: int,
    progress: Progress,
    headers: Mapping[str, str] | None = None,
) -> None:
    """Download ``url`` to ``target``; resume a part that is there; check the SHA-256.

    Args:
        digest: SHA-256, hexadecimal.
        size: in bytes. No more are written, whatever the server sends; 0 = the server shall say it.
        headers: sent along; a key among them goes to the host of ``url`` and to no other that it leads to.

    Raises:
        SourceError: the server cannot be reached, or the disk is full.
        Damaged: the checksum is wrong. The damaged file is removed.
    """
    import httpx

    part = target.with_name(target.name + ".part")
    try:
        if target.exists():  # whole, but its owner was killed before using it: checked again
            target.replace(part)
        patiently(lambda: _complete(url, part, size, progress, headers or {}))
        found = sha256(part)
        if found != digest:
            part.unlink()
            raise Damaged(
                f"{target.name} arrived damaged (SHA-256 {found[:12]}…, expected {digest[:12]}…) "
                "and was removed",
                AGAIN,
            )
        part.replace(target)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise SourceError(
            f"{target.name}: {url} cannot be reached ({first_line(error)})", CONNECT
        ) from None
    except OSError as error:
        raise SourceError(
            f"{part}: cannot write: {error.strerror or error}; what is there is kept",
            "make room and " + AGAIN,
        ) from None


def patiently(request: Callable[[], T], tries: int = TRIES) -> T:
    """What ``request`` returns; it is made again, after a while, where the network failed it."""
    import httpx

    for attempt in range(tries - 1):
        try:
            return request()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            if not _may_pass(error):
                raise
            time.sleep(PAUSE * min(2**attempt, 8))
    return request()


@cache
def certificates() -> ssl.SSLContext:
    """The certificates that servers are checked with; reading them takes longer than a small request."""
    import httpx

    return httpx.create_ssl_context()


def _may_pass(error: Exception) -> bool:
    """Is it worth another try? Not where the server says that the request is wrong."""
    import httpx

    if isinstance(error, httpx.HTTPStatusError):
        code = error.response.status_code
        return code >= 500 or code in (408, 416, 425, 429)
    return not isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol)


def _complete(
    url: str, part: Path, size: int, progress: Progress, headers: Mapping[str, str]
) -> None:
    """Download what ``part`` lacks."""
    have = part.stat().st_size if part.exists() else 0
    if size and have > size:
        part.unlink()
        have = 0
    if not size or have < size:
        _append(url, part, have, size, progress, headers)


def _append(
    url: str, part: Path, have: int, size: int, progress: Progress, headers: Mapping[str, str]
) -> None:
    import httpx

    # "identity": positions in the file must be positions in what is sent.
    headers = {**headers, "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    how = {"follow_redirects": True, "timeout": 30, "verify": certificates()}
    with httpx.stream("GET", url, headers=headers, **how) as reply:
        if reply.status_code == 416:  # what is there is no beginning of it
            part.unlink()
        reply.raise_for_status()
        resumed = reply.status_code == 206
        have = have if resumed else 0
        declared = reply.headers.get("content-length", "")
        total = size or (have + int(declared) if declared.isdecimal() else 0)
        if not total:
            raise SourceError(f"{url} does not say how large it is", AGAIN)
        with part.open("ab" if resumed else "wb") as file:
            for chunk in reply.iter_bytes():  # as it comes: a cut loses nothing
                chunk = chunk[: total - have]
                file.write(chunk)
                have += len(chunk)
                progress(have, total)
                if have == total:  # a server that goes on is not listened to
                    return
    if have < total:
        raise httpx.RemoteProtocolError(f"the connection ended after {have} of {total} bytes")
