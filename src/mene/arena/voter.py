"""Voter ids: pseudonyms that distinguish voters without identifying a person.

The browser keeps a random token of 128 bits. The database has the token's HMAC under a salt, a secret of this arena in a
file beside the database (``salt_beside``). Neither contains an address or a name: even with the salt, an id identifies only
someone who presents the token; without the salt, a token cannot be matched to an id. An address is never stored.

The salt is created once and not rotated: voters need it to find and delete their votes. If the file is removed (after a leak, or
at the end of a study), earlier votes stay, but no longer belong to anyone.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from platformdirs import user_data_path

from mene.errors import UsageError
from mene.text.redact import bare_url

_BYTES = 32


def new_token(salt: bytes) -> str:
    """Return a token for a browser: 32 random hex digits and a signature of 32, so that clients cannot invent voters."""
    number = secrets.token_hex(16)
    return number + _signature(salt, number)


def is_token(salt: bytes, text: str) -> bool:
    """Return whether ``new_token`` made this token under this salt."""
    signature = _signature(salt, text[:32])
    return len(text) == 64 and hmac.compare_digest(signature.encode(), text[32:].encode())


def _signature(salt: bytes, number: str) -> str:
    said = b"token " + number.encode("utf-8", "surrogateescape")
    return hmac.new(salt, said, hashlib.sha256).hexdigest()[:32]


def salt_beside(where: str | Path) -> Path:
    """Return the path of a database's salt: beside an SQLite file; for a database server, in the user's data folder.

    Several machines that serve one database need the same file.
    """
    address = str(where).removeprefix("sqlite:///")
    if "://" not in address:
        return Path(f"{address}.salt")
    name = hashlib.sha256(bare_url(address).encode()).hexdigest()[:16]
    return user_data_path("mene") / f"arena-{name}.salt"


def read_salt(path: Path) -> bytes:
    """Return the salt in a file; created at the first use, readable by its owner only.

    Raises:
        UsageError: it cannot be read or created, or is not a salt.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Written under another name, then linked: if two processes start at once, one creates it and both read it.
        part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        if not path.exists():
            number = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(number, "w") as file:
                file.write(secrets.token_hex(_BYTES))
            try:
                os.link(part, path)
            except FileExistsError:
                pass
            finally:
                part.unlink()
        salt = bytes.fromhex(path.read_text("ascii").strip())
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "not a salt"
        raise UsageError(f"{path}: cannot use the salt of the voters' ids: {why}") from None
    if len(salt) < _BYTES:
        raise UsageError(f"{path}: the salt of the voters' ids is too short; is the file damaged?")
    return salt


def voter_id(salt: bytes, token: str) -> str:
    """Return the voter id of a token, 24 hex digits: its HMAC-SHA256 under the salt, truncated."""
    return hmac.new(salt, token.encode(), hashlib.sha256).hexdigest()[:24]
