"""Keys and passwords, kept out of all that leaves the process: screen, ledger, report, errors.

Whoever is about to use a secret says so (``remember``), and every text that comes from a server or goes to a
person passes ``redact``. A URL that is shown or written down passes ``bare_url``.
"""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

HIDDEN = "***"
# Shorter ones are common words: to replace these would bend what a judge says, and hide nothing.
SHORTEST = 6
# What people write where a client insists on a key and the server has none.
PLACEHOLDERS = frozenset(
    [
        "dummy",
        "empty",
        "lm-studio",
        "no-key",
        "none",
        "not-needed",
        "nothing",
        "ollama",
        "placeholder",
        "sk-no-key-required",
        "token-abc123",
        "unused",
        "your-api-key",
    ]
)
# Parameters of a URL whose values are secrets.
_SECRET = re.compile(r"key|token|secret|pass|pwd|auth|sig|credential", re.I)
_USER = re.compile(r"(?<=://)[^\s/?#]*@")
_QUERY = re.compile(r"(?<=[?&])([^\s=&#]*)=[^\s&#@\"']+")

_known: tuple[str, ...] = ()


def is_secret(value: str) -> bool:
    """False for what stands where a key is asked for and none is needed."""
    return len(value) >= SHORTEST and value.casefold() not in PLACEHOLDERS


def remember(*secrets: str) -> None:
    """Hide these from now on, as they are and as a URL writes them."""
    global _known
    forms = {form for s in secrets for form in (s, unquote(s), quote(s, safe="", errors="replace"))}
    # The longest first: one may hold another.
    _known = tuple(sorted({*_known, *filter(is_secret, forms)}, key=len, reverse=True))


def remember_url(url: str) -> None:
    """Hide the password of a URL, and what its query holds under names like ``key``, even if no parser takes it."""
    url = url.partition("#")[0]
    place = re.split("[/?]", url.partition("://")[2], maxsplit=1)[0]
    user, at, _ = place.rpartition("@")
    if at:
        name, colon, password = user.partition(":")
        remember(password if colon else name)
    for pair in url.partition("?")[2].split("&"):
        name, _, value = pair.partition("=")
        if _SECRET.search(name):
            remember(value)


def secrets() -> tuple[str, ...]:
    """All that ``redact`` hides."""
    return _known


def redact(text: str) -> str:
    """``text`` with every secret that is known replaced by ``***``."""
    for secret in _known:
        if secret in text:
            text = text.replace(secret, HIDDEN)
    return text


def bare_url(text: str) -> str:
    """URLs in ``text`` without user, password, and the values of their queries."""
    return redact(_QUERY.sub(rf"\1={HIDDEN}", _USER.sub("", text)) if "://" in text else text)
