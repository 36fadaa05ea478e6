"""Who votes: a number that tells one voter from another, and from which nobody reads a person.

The browser keeps a random token of 128 bits. The database has the token's HMAC under a salt, a secret of this arena in a
file beside the database (``salt_beside``). Neither is an address or a name: even with the salt, the number leads to nobody
who does not show the token; without the salt, nobody can check whether a token belongs to it. An address is never kept.

The salt is made once and not changed by itself: a voter must find their votes to delete them. Whoever removes the file (after
it leaked, or at the end of a study) cuts the thread: earlier votes stay, and belong to nobody any more.
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
    """A token for a browser to keep: 32 random hex digits and 32 that sign them, so that nobody makes voters of their own."""
    number = secrets.token_hex(16)
    return number + _signature(salt, number)


def is_token(salt: bytes, text: str) -> bool:
    """Is it a token that ``new_token`` made under this salt?"""
    signature = _signature(salt, text[:32])
    return len(text) == 64 and hmac.compare_digest(signature.encode(), text[32:].encode())


def _signature(salt: bytes, number: str) -> str:
    said = b"token " + number.encode("utf-8", "surrogateescape")
    return hmac.new(salt, said, hashlib.sha256).hexdigest()[:32]


def salt_beside(where: str | Path) -> Path:
    """The file with the salt of a database: beside a file of SQLite; of a server's database in the user's data folder.

    Several machines that serve one database need the same file.
    """
    address = str(where).removeprefix("sqlite:///")
    if "://" not in address:
        return Path(f"{address}.salt")
    name = hashlib.sha256(bare_url(address).encode()).hexdigest()[:16]
    return user_data_path("mene") / f"arena-{name}.salt"


def read_salt(path: Path) -> bytes:
    """The salt in a file; made at the first use, readable by its owner alone.

    Raises:
        UsageError: it cannot be read or made, or is none.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Whole under another name, then linked: of two processes that start at once, one makes it and both read it.
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
    """The voter with this token, 24 hex digits: its HMAC-SHA256 under the salt, shortened."""
    return hmac.new(salt, token.encode(), hashlib.sha256).hexdigest()[:24]
