"""Downloading one file over HTTP: resumed, retried, limited in size and time, and checked."""

from __future__ import annotations

import queue
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from mene.text.redact import bare_url
from mene.weights.cache import begun, need_space, open_part, sha256
from mene.weights.job import AGAIN, CONNECT, Progress, SourceError, first_line

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")
TRIES = 5
SILENT_TRIES = 2  # tries with a server that accepts the connection and sends nothing
PAUSE = 1.0  # seconds before the second try; doubles each time, up to 8 times this
SILENCE = 30.0  # seconds that a server may send (almost) nothing
ANSWER = 60.0  # seconds until the answer must have begun
LITTLE = 30_000  # fewer bytes than this in SILENCE count as nothing
WAY = 1_000_000  # after this many bytes, the count of tries starts again


class Damaged(SourceError):
    """The received bytes are not the expected ones."""


def download(
    url: str,
    target: Path,
    digest: str,
    size: int,
    progress: Progress,
    headers: Mapping[str, str] | None = None,
) -> None:
    """Download ``url`` to ``target``, resuming a partial file, and check the SHA-256.

    Args:
        digest: SHA-256, hexadecimal.
        size: in bytes. No more are written, whatever the server sends; 0 = taken from the server's answer.
        headers: a key among them is sent to the host of ``url`` only, not to redirect targets.

    Raises:
        SourceError: the server cannot be reached, or the disk is full.
        Damaged: the checksum is wrong. The damaged file is removed.
    """
    import httpx

    part = target.with_name(target.name + ".part")
    try:
        if target.exists():  # complete, but the process was killed before using it: check it again
            target.replace(part)
        patiently(
            lambda: _complete(url, part, size, progress, headers or {}), done=lambda: begun(part)
        )
        found = sha256(part)
        if found != digest:
            part.unlink()
            raise Damaged(
                f"{target.name} arrived damaged (SHA-256 {found[:12]}…, expected {digest[:12]}…) "
                "and was removed",
                AGAIN,
            )
        part.replace(target)
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
        raise SourceError(
            f"{target.name}: {bare_url(url)} cannot be reached ({first_line(error)})", CONNECT
        ) from None
    except OSError as error:
        raise SourceError(
            f"{part}: cannot write: {error.strerror or error}; what is there is kept",
            "make room and " + AGAIN,
        ) from None


def patiently(
    request: Callable[[], T], tries: int = TRIES, done: Callable[[], int] = lambda: 0
) -> T:
    """Return what ``request`` returns, retrying after a pause on network errors.

    Args:
        tries: maximum number without progress.
        done: returns the bytes received so far.
    """
    import httpx

    failed, before = 0, done()
    while True:
        try:
            return request()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            if (now := done()) >= before + WAY:
                failed, before = 0, now
            failed += 1
            most = min(tries, SILENT_TRIES) if isinstance(error, httpx.TimeoutException) else tries
            if failed >= most or not _may_pass(error):
                raise
            time.sleep(PAUSE * min(2 ** (failed - 1), 8))


def in_time(seconds: float, work: Callable[[], T]) -> T:
    """Return what ``work`` returns or raises, computed in a thread that is abandoned on time-out.

    An HTTP client's own time-out restarts with every byte, and does not cover the look-up of a name.

    Raises:
        httpx.ReadTimeout: it took longer.
    """
    import httpx

    answer: queue.SimpleQueue[tuple[T | None, BaseException | None]] = queue.SimpleQueue()

    def run() -> None:
        try:
            answer.put((work(), None))
        except BaseException as error:
            answer.put((None, error))

    threading.Thread(target=run, daemon=True).start()
    try:
        found, error = answer.get(timeout=seconds)
    except queue.Empty:
        raise httpx.ReadTimeout(f"no answer in {seconds:.3g} s") from None
    if error is not None:
        raise error
    return found  # type: ignore[return-value]


@cache
def certificates() -> ssl.SSLContext:
    """Return the certificates to check servers with, cached: reading them takes longer than a small request."""
    import httpx

    return httpx.create_ssl_context()


def _may_pass(error: Exception) -> bool:
    """Return whether another try may succeed; not where the server calls the request wrong."""
    import httpx

    if isinstance(error, httpx.HTTPStatusError):
        code = error.response.status_code
        return code >= 500 or code in (408, 416, 425, 429)
    return not isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol)


def _complete(
    url: str, part: Path, size: int, progress: Progress, headers: Mapping[str, str]
) -> None:
    """Download what is missing in ``part``."""
    have = begun(part)
    if size and have > size:
        part.unlink()
        have = 0
    if not size or have < size:
        _append(url, part, have, size, progress, headers)


def _append(
    url: str, part: Path, have: int, size: int, progress: Progress, headers: Mapping[str, str]
) -> None:
    import httpx

    # "identity": positions in the file must equal positions in the response.
    headers = {**headers, "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    with httpx.Client(follow_redirects=True, timeout=SILENCE, verify=certificates()) as client:
        asked = client.build_request("GET", url, headers=headers)
        reply = in_time(ANSWER, lambda: client.send(asked, stream=True))
        try:
            _receive(reply, part, have, size, progress)
        finally:
            reply.close()


def _receive(reply: httpx.Response, part: Path, have: int, size: int, progress: Progress) -> None:
    """Append the response to ``part``."""
    import httpx

    if reply.status_code == 416:  # the existing bytes are not a beginning of the file
        part.unlink()
    reply.raise_for_status()
    resumed = reply.status_code == 206
    have = have if resumed else 0
    declared = reply.headers.get("content-length", "")
    total = size or (have + int(declared) if declared.isdecimal() else 0)
    if not total:
        raise SourceError(f"{bare_url(str(reply.url))} does not say how large it is", AGAIN)
    if not size:
        need_space(part.parent, total - have, part.stem)
    with open_part(part, append=resumed) as file:
        since, then = time.monotonic(), have
        for chunk in reply.iter_raw():  # written as it comes, so that an interruption loses nothing
            chunk = chunk[: total - have]
            file.write(chunk)
            have += len(chunk)
            progress(have, total)
            if have == total:  # ignore anything the server sends after that
                return
            if (now := time.monotonic()) - since > SILENCE:
                if have - then < LITTLE:
                    raise httpx.ReadTimeout(f"{have - then} bytes in {SILENCE:.3g} s")
                since, then = now, have
    raise httpx.RemoteProtocolError(f"the connection ended after {have} of {total} bytes")
