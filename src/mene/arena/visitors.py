"""Visitors: the cookie that identifies a browser, and rate limits per address.

The cookie has a random token (``voter.py``). Addresses stay in memory, only as long as a limit needs them.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict, deque

from starlette.requests import Request
from starlette.responses import Response

from mene.arena.voter import is_token, voter_id
from mene.serve.door import Refused

COOKIE = "mene_voter"
YEAR_S = 365 * 24 * 3600
HOUR_S = 3600.0
ADDRESSES = 100_000  # maximum number in memory


def known_voter(request: Request, salt: bytes) -> str | None:
    """Return the voter of a request; None if nobody has agreed to the terms in this browser."""
    token = request.cookies.get(COOKIE, "")
    return voter_id(salt, token) if is_token(salt, token) else None


def voter_of(request: Request, salt: bytes) -> str:
    """Return the voter of a request.

    Raises:
        Refused: nobody has agreed to the terms in this browser.
    """
    if (voter := known_voter(request, salt)) is None:
        raise Refused(403, "agree to the terms first: POST /api/terms", "terms")
    return voter


def remember(response: Response, token: str, secure: bool) -> None:
    """Set the cookie with the token, not readable by scripts and not sent from other sites."""
    response.set_cookie(
        COOKIE, token, max_age=YEAR_S, httponly=True, samesite="strict", secure=secure
    )


def forget(response: Response) -> None:
    """Delete the cookie."""
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")


def address_of(request: Request) -> str:
    """Return the address of a request's client; for IPv6 its network, since one person has many addresses in it."""
    client = request.client.host if request.client else ""
    return ":".join(client.split(":")[:4]) if ":" in client else client


class Hourly:
    """An hourly limit, counted separately for each client.

    Args:
        most: times per hour; 0: no limit.
        what: is limited, for the message.
    """

    def __init__(self, most: int, what: str) -> None:
        self.most, self._what = most, what
        self._times: OrderedDict[str, deque[float]] = OrderedDict()

    def count(self, who: str) -> None:
        """Count one more.

        Raises:
            Refused: the limit is reached.
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
            message = f"{self.most} {self._what} an hour may come from one place; there is room again in {waiting(wait)}"
            raise Refused(429, message, "rate_limit_error", headers={"retry-after": str(wait)})
        times.append(now)
        while len(self._times) > ADDRESSES:
            self._times.popitem(last=False)


def waiting(seconds: float) -> str:
    """Return a time to wait, in words."""
    return f"{math.ceil(seconds)} s" if seconds <= 90 else f"{math.ceil(seconds / 60)} min"
