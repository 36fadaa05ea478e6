"""Access control: API keys, allowed Host headers, and allowed origins."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path
from urllib.parse import urlsplit

from mene.errors import UsageError
from mene.serve.door import Refused

SHORTEST = 8  # characters of a key


class Keys:
    """The valid keys. Only their digests are stored.

    Args:
        keys: as plain text.
    """

    def __init__(self, keys: list[str]) -> None:
        self._digests = [_digest(key) for key in keys]

    def __len__(self) -> int:
        return len(self._digests)

    @classmethod
    def read(cls, path: Path) -> Keys:
        """Return the keys of a file, one per line; empty lines and those that begin with # are skipped.

        Raises:
            UsageError: it cannot be read, has none, or one that is too short. No key is in the message.
        """
        try:
            lines = path.read_text("utf-8").splitlines()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "not UTF-8 text"
            raise UsageError(f"{path}: cannot read the keys: {reason}") from None
        found = []
        for number, line in enumerate(lines, start=1):
            if not (key := line.strip()) or key.startswith("#"):
                continue
            if len(key) < SHORTEST or not key.isascii() or " " in key:
                raise UsageError(
                    f"{path}, line {number}: a key has {SHORTEST} characters or more, ASCII and without spaces; make one with "
                    "`openssl rand -hex 24`"
                )
            found.append(key)
        if not found:
            raise UsageError(f"{path}: no key in it; write one a line (`openssl rand -hex 24`)")
        return cls(found)

    def who(self, authorization: str | None) -> str | None:
        """Return the name of the key in a header; None if it is not valid. All keys are compared, each in constant time."""
        scheme, _, key = (authorization or "").partition(" ")
        given, found = _digest(key.strip()), None
        for number, digest in enumerate(self._digests, start=1):
            if hmac.compare_digest(digest, given):
                found = f"key {number}"
        return found if scheme.lower() == "bearer" else None


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def no_key(given: bool) -> Refused:
    """Return the response to a request without a key, or with a wrong one."""
    message = (
        "this API key is not known here"
        if given
        else "an API key is needed: send it as Authorization: Bearer KEY"
    )
    return Refused(401, message, "authentication_error", headers={"www-authenticate": "Bearer"})


def host_of(header: str) -> str:
    """Return the name in a Host header, without its port."""
    try:
        return (urlsplit(f"//{header}").hostname or "").lower()
    except ValueError:
        return ""


def check_origin(origin: str | None, host: str, cors: frozenset[str]) -> None:
    """Refuse requests from pages of other sites: a browser would let them use a server on this machine.

    Args:
        origin: the Origin header, which browsers send.
        host: the Host header.
        cors: allowed origins.

    Raises:
        Refused: the origin is not allowed.
    """
    if origin is None or origin in cors or "*" in cors:
        return
    try:
        netloc = urlsplit(origin).netloc.lower()
    except ValueError:
        netloc = ""
    if netloc and netloc == host.lower():
        return
    raise Refused(
        403,
        "pages of other sites may not ask here; start the server with --cors ORIGIN if this one may",
        "permission_error",
    )


def check_host(host: str) -> None:
    """Refuse a Host that is not a name of this machine: a page could point its own name here and read responses (DNS rebinding).

    Raises:
        Refused: it is another name.
    """
    if host_of(host) not in ("127.0.0.1", "localhost", "::1"):
        raise Refused(
            421,
            "this server answers to localhost alone; behind a proxy, let it send Host: localhost, or use --api-key",
            "permission_error",
        )
