"""Keeping keys and passwords out of all output: screen, ledger, report, errors.

Code that uses a secret registers it (``remember``); every text from a server or to a person goes through ``redact``. URLs that
are shown or stored go through ``bare_url``.
"""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

HIDDEN = "***"
# Shorter secrets may be common words: replacing these would distort critiques and hide nothing.
SHORTEST = 6
# Common placeholders for clients that require a key where the server needs none.
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
# URL parameters with secret values.
_SECRET = re.compile(r"key|token|secret|pass|pwd|auth|sig|credential", re.I)
_USER = re.compile(r"(?<=://)[^\s/?#]*@")
_QUERY = re.compile(r"(?<=[?&])([^\s=&#]*)=[^\s&#@\"']+")

_known: tuple[str, ...] = ()


def is_secret(value: str) -> bool:
    """Return False for a placeholder that is used where no key is needed."""
    return len(value) >= SHORTEST and value.casefold() not in PLACEHOLDERS


def remember(*secrets: str) -> None:
    """Register secrets to hide, also in their URL-encoded form."""
    global _known
    forms = {form for s in secrets for form in (s, unquote(s), quote(s, safe="", errors="replace"))}
    # The longest first: one may contain another.
    _known = tuple(sorted({*_known, *filter(is_secret, forms)}, key=len, reverse=True))


def remember_url(url: str) -> None:
    """Register a URL's password and the values of query parameters like ``key``, even if the URL is malformed."""
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
    """Return all secrets that ``redact`` hides."""
    return _known


def redact(text: str) -> str:
    """Return ``text`` with every registered secret replaced by ``***``."""
    for secret in _known:
        if secret in text:
            text = text.replace(secret, HIDDEN)
    return text


def bare_url(text: str) -> str:
    """Return ``text`` with its URLs stripped of user, password and query values."""
    return redact(_QUERY.sub(rf"\1={HIDDEN}", _USER.sub("", text)) if "://" in text else text)
