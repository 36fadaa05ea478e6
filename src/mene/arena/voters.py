"""Who votes: a random token in a cookie, of which only a salted hash is kept, and how often one address may come.

A voter's name can be read from nothing: the token says nothing of the person, and the hash nothing of the token. Addresses stay in
memory, hashed, for as long as they count.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import secrets
import time
from collections import OrderedDict, deque

from starlette.requests import Request
from starlette.responses import Response

from mene.serve.door import Refused

COOKIE = "mene_voter"
YEAR_S = 365 * 24 * 3600
TOKEN = 32  # hex digits of a token, and of a voter
HOUR_S = 3600.0
ADDRESSES = 100_000  # that are remembered at once


def new_token() -> str:
    """A token for somebody who has agreed to the terms: 128 random bits."""
    return secrets.token_hex(TOKEN // 2)


def voter_of(request: Request, salt: bytes) -> str:
    """The voter who asks.

    Raises:
        Refused: nobody has agreed to the terms in this browser.
    """
    token = request.cookies.get(COOKIE, "")
    if len(token) != TOKEN or not set(token) <= set("0123456789abcdef"):
        raise Refused(403, "agree to the terms first", "terms")
    return hashed(token, salt)


def hashed(text: str, salt: bytes) -> str:
    """What is kept in place of a token: 32 hex digits of HMAC-SHA-256 (RFC 2104)."""
    return hmac.new(salt, text.encode(), hashlib.sha256).hexdigest()[:TOKEN]


def remember(response: Response, token: str, secure: bool) -> None:
    """Have the browser keep the token, out of reach of scripts and of other sites."""
    response.set_cookie(
        COOKIE, token, max_age=YEAR_S, httponly=True, samesite="strict", secure=secure
    )


def forget(response: Response) -> None:
    """Have the browser forget it."""
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")


class Hourly:
    """How often something may happen in an hour, counted for each of many.

    Args:
        most: times; 0: as often as one likes.
        what: it is, for the message.
    """

    def __init__(self, most: int, what: str) -> None:
        self.most, self._what = most, what
        self._times: OrderedDict[str, deque[float]] = OrderedDict()

    def count(self, who: str) -> None:
        """Count one more.

        Raises:
            Refused: it was too often.
        """
        if not self.most:
            return
        now = time.monotonic()
        times = self._times.setdefault(who, deque())
        self._times.move_to_end(who)
        while times and times[0] <= now - HOUR_S:
            times.popleft()
        if len(times) >= self.most:
            wait = math.ceil(times[0] + HOUR_S - now)
            raise Refused(
                429,
                f"{self.most} {self._what} an hour may come from here; there is room again in {minutes(wait)}",
                "rate_limit_error",
                headers={"retry-after": str(wait)},
            )
        times.append(now)
        while len(self._times) > ADDRESSES:
            self._times.popitem(last=False)


def minutes(seconds: float) -> str:
    """A time to wait, in words."""
    if seconds <= 90:
        return f"{math.ceil(seconds)} s"
    return f"{math.ceil(seconds / 60)} min"
