"""Errors of a server, and what they mean for the row and for the run.

The HTTP status is not enough: an error may come with a 200, a refused parameter with a 403, exhausted credit with a 429, a
missing route with the same 404 as a missing model. So the body's code and text are used too. ``read_fault.py`` finds the error
in a reply, ``explain_fault.py`` words it for a person. Functions without I/O.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import httpx

from mene.engines.remote.pauses import PATIENCE, wanted

# Exceptions from reading a reply of an unexpected shape.
MALFORMED = (
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    ValueError,
    ArithmeticError,
    RecursionError,
)
_CREDIT_CODE = re.compile(
    r"insufficient[_ -]?(quota|balance|credit|fund)|exceeded_current_quota|billing|arrearage|payment_required|out_of_credit"
    r"|credits?_(exhausted|depleted)|quota_exhausted",
    re.I,
)
_CREDIT = re.compile(
    r"insufficient (quota|balance|credit|fund)|out of credit|no credits|credit balance|add (more )?credits|billing hard limit"
    r"|payment required|quota\b.{0,40}\b(used up|exhausted)|account\b.{0,40}\b(suspended|deactivated|overdue)",
    re.I,
)
_TOO_LONG = re.compile(
    r"context[ _](length|size|window)|maximum model length|input tokens exceed|must be at least 1, got -"
    r"|prompt is too long|exceed_context_size|too many (input )?tokens in",
    re.I,
)
_WITHHELD = re.compile(
    r"content[_ ]?(management )?(filter|policy)|flagged|moderation|inspection_?failed|responsibleai|safety (system|filter)",
    re.I,
)
_UNSUPPORTED = re.compile(
    r"unsupported|unrecogni[sz]ed|unknown|not implemented|n[o']t (be )?(allow|permit|support|available)",
    re.I,
)
_TOO_LARGE = re.compile(
    r"too (large|high|big)|at most|less than|exceed|maximum|supports up to", re.I
)


class Fault(Exception):
    """An error that a server reported.

    Attributes:
        status: HTTP status; for an error inside a 200 the one in the body, else 500.
        reason: the server's own words, in one line; never empty.
        code: its code and type, for programs; may be empty.
        param: the parameter that it rejects; may be empty.
        headers: of the reply.
        spoken: the body follows the API, and is not e.g. a proxy's error page.
    """

    def __init__(
        self,
        status: int,
        reason: str,
        code: str = "",
        param: str = "",
        headers: Mapping[str, str] | None = None,
        spoken: bool = True,
        body: Any = None,
    ) -> None:
        super().__init__(reason)
        self.status, self.reason, self.code, self.param = status, reason, code, param
        self.headers: Mapping[str, str] = headers or {}
        self.spoken, self.body = spoken, body

    @property
    def out_of_credit(self) -> bool:
        """Whether the account has no credit left, so that no request can succeed."""
        by_code = self.status == 402 or bool(_CREDIT_CODE.search(self.code))
        # A retry hint means a rate limit, whatever the error is called.
        hinted = "retry-after" in self.headers or "retry-after-ms" in self.headers
        return by_code or (
            self.status in (400, 403, 429) and not hinted and bool(_CREDIT.search(self.reason))
        )

    @property
    def too_long(self) -> bool:
        """Whether the prompt does not fit."""
        return self.status == 413 or bool(_TOO_LONG.search(f"{self.code} {self.reason}"))

    @property
    def withheld(self) -> bool:
        """Whether a filter refused this row."""
        return self.status in (200, 400, 403, 422, 451, 500) and bool(
            _WITHHELD.search(f"{self.code} {self.reason}")
        )

    @property
    def wants(self) -> float | None:
        """Seconds that the server asks to wait; None where it does not say."""
        return wanted(self.headers)

    @property
    def may_pass(self) -> bool:
        """Whether a later try may succeed."""
        if self.out_of_credit or self.too_long or self.withheld or (self.wants or 0) > PATIENCE:
            return False
        if self.status >= 500:
            told = self.param or self.reason
            return self.status not in (501, 505) and not first_named(
                told, ("logprobs", "top_logprobs")
            )
        return self.status in (408, 409, 425, 429)

    @property
    def no_route(self) -> bool:
        """Whether the server does not know the path (as opposed to the model)."""
        return self.status in (404, 405, 501) and not re.search(
            r"\bmodel|deployment|endpoints? found", f"{self.code} {self.reason}", re.I
        )

    def refuses(self, sent: Iterable[str]) -> str | None:
        """Return the optional parameter among those sent that the server rejects; None if it rejects none of them."""
        if self.status in (401, 402, 429) or self.out_of_credit or self.too_long or self.withheld:
            return None
        told = self.param or self.reason
        found = first_named(told, sent)
        if found in ("max_tokens", "max_completion_tokens") and _TOO_LARGE.search(self.reason):
            return None  # it rejects the value, not the parameter
        if found and self.status >= 500 and not _UNSUPPORTED.search(self.reason):
            return None
        if found is None and "requested parameters" in self.reason:
            found = next((name for name in sent if "logprobs" in name), None)
        return found

    @property
    def too_much_room(self) -> bool:
        """Whether the requested maximum length is too large for the server."""
        return self.too_long or bool(
            first_named(self.param or self.reason, ("max_tokens", "max_completion_tokens"))
        )


def first_named(message: str, words: Iterable[str]) -> str | None:
    """Return the first of ``words`` that occurs in ``message`` as a whole word."""
    spelt = re.sub(r"\blog[ -]?prob(abilitie)?s?\b", "logprobs", message, flags=re.I)
    return next((w for w in words if re.search(rf"\b{w}\b", spelt)), None)


class NotJSON(ValueError):
    """A reply that is not JSON: truncated, or not from the API."""


class Unreadable(ValueError):
    """A reply that is not read: too large, or in an unexpected compression."""


def may_pass(error: Exception) -> bool:
    """Return whether a later try may succeed."""
    if isinstance(error, Fault):
        return error.may_pass
    if isinstance(error, httpx.UnsupportedProtocol | httpx.LocalProtocolError):
        return False
    return isinstance(error, httpx.TransportError | TimeoutError | NotJSON)


def is_unreachable(error: Exception) -> bool:
    """Return whether nothing took the connection: no server runs there, or no such machine is known."""
    return isinstance(error, httpx.ConnectError)


def is_silence(error: Exception) -> bool:
    """Return whether the server accepted the request but sent nothing in time."""
    silent = isinstance(error, TimeoutError | httpx.TimeoutException)
    return silent and not isinstance(error, httpx.ConnectTimeout)
