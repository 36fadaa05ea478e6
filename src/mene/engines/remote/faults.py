"""What a server says instead of an answer: what it means for the row, for the run, and for whoever reads it.

The HTTP status alone says too little: an error may come with a 200, a refused parameter with a 403, an account without
credit with a 429, a missing route with the same 404 as a missing model. So the body's code and words are read too.
Functions without I/O.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Iterable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from mene.engines.remote.answer import clean
from mene.engines.remote.api import OPENAI, Api
from mene.engines.steps import ROOM, overflow
from mene.errors import ContextOverflow, EngineError, MeneError, ModelError

# What reading an answer of another shape than the API's raises.
MALFORMED = (
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    ValueError,
    ArithmeticError,
    RecursionError,
)
# A server that asks for a longer pause than this (seconds) is asked again earlier …
LONGEST_PAUSE = 120.0
# … unless it asks for so long a pause that nobody waits for it.
PATIENCE = 600.0

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
    """An error that a server told.

    Attributes:
        status: HTTP status; of an error in a 200 the one that its body names, else 500.
        reason: the server's own words, in one line; never empty.
        code: its code and type, for machines; may be empty.
        param: the parameter that it blames; may be empty.
        headers: of the reply.
        spoken: the body was the API's, not a page of something in between.
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
        """The account is used up; no request can pass."""
        by_code = self.status == 402 or bool(_CREDIT_CODE.search(self.code))
        # Then it is a limit of requests, whatever it is called.
        hinted = "retry-after" in self.headers or "retry-after-ms" in self.headers
        return by_code or (
            self.status in (400, 403, 429) and not hinted and bool(_CREDIT.search(self.reason))
        )

    @property
    def too_long(self) -> bool:
        """The prompt does not fit."""
        return self.status == 413 or bool(_TOO_LONG.search(f"{self.code} {self.reason}"))

    @property
    def withheld(self) -> bool:
        """A filter refused this row."""
        return self.status in (200, 400, 403, 422, 451, 500) and bool(
            _WITHHELD.search(f"{self.code} {self.reason}")
        )

    @property
    def wants(self) -> float | None:
        """Seconds until the server wants to be asked again; None where it does not say."""
        return _wanted(self.headers)

    @property
    def may_pass(self) -> bool:
        """A later try may not meet it."""
        if self.out_of_credit or self.too_long or self.withheld or (self.wants or 0) > PATIENCE:
            return False
        if self.status >= 500:
            told = self.param or self.reason
            return self.status not in (501, 505) and not _names(told, ("logprobs", "top_logprobs"))
        return self.status in (408, 409, 425, 429)

    @property
    def no_route(self) -> bool:
        """The server does not know the path, as against the model."""
        return self.status in (404, 405, 501) and not re.search(
            r"\bmodel|deployment|endpoints? found", f"{self.code} {self.reason}", re.I
        )

    def refuses(self, sent: Iterable[str]) -> str | None:
        """Which of these optional parameters it takes offence at, and would go without."""
        if self.status in (401, 402, 429) or self.out_of_credit or self.too_long or self.withheld:
            return None
        told = self.param or self.reason
        found = _names(told, sent)
        if found in ("max_tokens", "max_completion_tokens") and _TOO_LARGE.search(self.reason):
            return None  # the number, not the parameter
        if found and self.status >= 500 and not _UNSUPPORTED.search(self.reason):
            return None
        if found is None and "requested parameters" in self.reason:
            found = next((name for name in sent if "logprobs" in name), None)
        return found

    @property
    def too_much_room(self) -> bool:
        """It takes no answers as long as the one that was asked for."""
        return self.too_long or bool(
            _names(self.param or self.reason, ("max_tokens", "max_completion_tokens"))
        )


def _names(message: str, words: Iterable[str]) -> str | None:
    """The first of ``words`` that ``message`` names, as a whole word."""
    spelt = re.sub(r"\blog[ -]?prob(abilitie)?s?\b", "logprobs", message, flags=re.I)
    return next((w for w in words if re.search(rf"\b{w}\b", spelt)), None)


def read_fault(status: int, headers: Mapping[str, str], body: Any, text: str) -> Fault | None:
    """The error in a reply, whatever its status says; None where there is none.

    Args:
        body: the reply's JSON; None where it is none, and ``text`` is then what it says.
    """
    if isinstance(body, list) and len(body) == 1:  # Gemini wraps its errors so
        body = body[0]
    found = _error_of(body)
    if status < 400 and found is None:
        return None
    outer: dict[str, Any] = body if isinstance(body, dict) else {}
    if status >= 400 and found is None and isinstance(outer.get("detail"), dict):
        found = outer["detail"]  # System One's: its type and message
    inner: dict[str, Any] = found if isinstance(found, dict) else {}
    reason = _words(found if found is not None else body) or _page(text)
    metadata = inner.get("metadata")
    raw = (
        metadata.get("raw") if isinstance(metadata, dict) else None
    )  # the words behind OpenRouter's
    if isinstance(raw, str) and raw:
        reason = f"{reason}: {raw}"
    codes = [inner.get("code"), inner.get("type"), inner.get("error_type"), outer.get("error_type")]
    named = [
        _status(place.get(k))
        for place in (inner, outer)
        for k in ("code", "status", "statusCode", "status_code")
    ]
    code = " ".join(c for c in codes if isinstance(c, str))
    if status < 400:
        status = next(filter(None, named), None) or _status_of(f"{code} {reason}")
    param = inner.get("param")
    return Fault(
        status,
        _line(reason) or f"HTTP {status}",
        clean(code)[:80],
        clean(param)[:80] if isinstance(param, str) else "",
        headers,
        isinstance(body, dict),
        body,
    )


def _error_of(body: Any) -> Any:
    if not isinstance(body, dict):
        return None
    if body.get("error"):
        return body["error"]
    if body.get("object") == "error" or body.get("type") == "error" or body.get("success") is False:
        return body
    choices = body.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    if isinstance(first, dict) and (first.get("error") or first.get("finish_reason") == "error"):
        return first.get("error") or "the answer ended in an error"
    return None


def _words(value: Any) -> str:
    """The message in an error of any of the usual shapes; of a value that was refused, with its place before it."""
    for _ in range(5):
        if isinstance(value, str):
            return value
        if isinstance(value, list) and value:
            value = value[0]
        elif isinstance(value, dict):
            loc, said = value.get("loc"), value.get("msg")
            if isinstance(loc, list) and loc[1:] and isinstance(said, str):
                return f"{'.'.join(map(str, loc[1:]))}: {said}"
            names = ("message", "msg", "detail", "errors", "error", "reason", "code", "type")
            value = next((value[name] for name in names if value.get(name)), "")
        else:
            return str(value) if isinstance(value, int) else ""
    return ""


def _page(text: str) -> str:
    """The words of an HTML page, or of plain text."""
    # Hidden before it is cut: half a key is none that ``clean`` knows.
    head = re.sub(r"(?is)<(script|style)\b.*?</\1>", " ", clean(text)[:4000])
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", head)).strip()


def _line(text: str) -> str:
    lines = re.sub(r"[\x00-\x08\x0e-\x1f\x7f-\x9f]+", " ", clean(text)).strip().splitlines()
    return lines[0][:200].rstrip(" .") if lines else ""


def _status(value: Any) -> int | None:
    if isinstance(value, str) and re.fullmatch(r"[45]\d\d", value):
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 400 <= value < 600:
        return value
    return None


def _status_of(words: str) -> int:
    """A status for an error in a 200 that names none; one of the server's own where nothing else fits."""
    for status, pattern in (
        (401, r"invalid.?api.?key|authenticat|unauthori[sz]ed"),
        (429, r"rate.?limit|too many requests"),
        (404, r"model\b.*\b(not found|does not exist)|not_found"),
        (400, r"invalid_request|bad_request|validation"),
    ):
        if re.search(pattern, words, re.I):
            return status
    return 500


def may_pass(error: Exception) -> bool:
    """True for a fault that a later try may not meet."""
    if isinstance(error, Fault):
        return error.may_pass
    if isinstance(error, httpx.UnsupportedProtocol | httpx.LocalProtocolError):
        return False
    return isinstance(error, httpx.TransportError | TimeoutError | NotJSON)


def is_silence(error: Exception) -> bool:
    """The server took the request, and nothing came within the time."""
    silent = isinstance(error, TimeoutError | httpx.TimeoutException)
    return silent and not isinstance(error, httpx.ConnectTimeout)


class NotJSON(ValueError):
    """A reply that is no JSON: cut off, or from something else than the API."""


class Unreadable(ValueError):
    """A reply that is not read: too large, or packed in another way than was asked for."""


def pause(tried: int, headers: Mapping[str, str], backoff_s: float) -> float:
    """Seconds until the next try: what ``Retry-After`` says, in any of its forms, else ever longer."""
    asked = _wanted(headers)
    jitter = random.uniform(0.75, 1.0) * backoff_s
    if asked is None:
        return min(jitter * 2 ** min(tried, 32), LONGEST_PAUSE)
    return min(asked, LONGEST_PAUSE) + jitter


def _wanted(headers: Mapping[str, str]) -> float | None:
    """Seconds that a server wants to be left alone for; None where it does not say."""
    exact = _seconds((headers.get("retry-after-ms") or "").strip())
    if exact is not None:
        return exact / 1000
    return _seconds((headers.get("retry-after") or "").strip())


def _seconds(asked: str) -> float | None:
    if re.fullmatch(r"\d{1,12}(\.\d{1,12})?", asked):
        return float(asked)
    if asked.isdecimal():
        return float("inf")
    try:
        return max(parsedate_to_datetime(asked).timestamp() - time.time(), 0.0)
    except (ValueError, OverflowError, TypeError):
        return None


def context_sizes(message: str) -> tuple[int | None, int | None]:
    """(tokens, window) from a complaint about a prompt that does not fit; None for what it does not say."""
    tokens = re.search(
        r"(?:resulted in|you requested|request has|at least|passed|request \(|\(length|n_prompt_tokens\W{1,4})"
        r"\s*(\d[\d,]*)\b(?! output)",
        message,
    )
    window = re.search(
        r"(?:context length|context size|model length|configured limit|n_ctx)\D{0,20}(\d[\d,]*)",
        message,
    )
    return _whole(tokens), _whole(window)


def _whole(found: re.Match[str] | None) -> int | None:
    return int(found[1].replace(",", "")[:12]) if found else None


def explain(
    error: Exception,
    server: str,
    model: str,
    timeout_s: float,
    key: str,
    worked: bool,
    api: Api = OPENAI,
) -> MeneError:
    """What happened and what to do; a ModelError where no other request can succeed.

    Args:
        key: what to do about the key, where the server wants another one.
        worked: the server has answered before; then a refusal may be this row's alone.
        api: what was spoken to it.
    """
    if isinstance(error, Fault):
        return _explain(error, server, model, key, worked, api)
    reason = _line(str(error)) or type(error).__name__
    if is_silence(error):
        reason = f"no answer within {timeout_s:g} s"
        advice = "the server is too slow or stuck; lower --concurrency"
    elif isinstance(error, httpx.HTTPError):
        advice = "check that the server runs and the URL is right"
    else:
        reason = f"the answer is none ({reason})"
        advice = f"is it {api.server}?"
    return EngineError(f"{server}: {reason}; {advice}")


def _explain(fault: Fault, server: str, model: str, key: str, worked: bool, api: Api) -> MeneError:
    reason = fault.reason
    if fault.out_of_credit:
        return ModelError(
            f"{server}: the account is out of credit ({reason}); add credit, or use another judge; the verdicts "
            "so far are kept"
        )
    if fault.too_long:
        tokens, window = context_sizes(str(fault))
        if tokens and window and tokens > window:
            return overflow(tokens, window)
        room = ", or lower --critique-tokens" if api.writes else ""
        return ContextOverflow(f"{server}: {reason}; {ROOM}{room}")
    if fault.withheld:
        return EngineError(f"{server} withheld the answer ({reason}); {WITHHELD_ADVICE}")
    if fault.status < 400:
        return ModelError(f"{server} {reason}")
    if fault.status == 401 or (fault.status in (403, 407) and fault.spoken and not worked):
        return ModelError(f"{server} refuses the key ({reason}); {key}")
    if fault.no_route and not worked:
        return ModelError(
            f'{server} does not know what it was asked for ({reason}); check the name "{model}", that {api.path}, and '
            f"that {api.server} runs there"
        )
    if fault.status == 404 and not worked:
        return ModelError(f'{server} has no model "{model}" ({reason}); check its name')
    if (fault.wants or 0) > PATIENCE:
        return ModelError(
            f"{server}: {reason}; it wants no request for {_duration(fault.wants or 0)}: run the same command again then"
        )
    if fault.status == 429:
        advice = "lower --concurrency or set --rpm"
    elif _names(fault.param or reason, ("max_tokens", "max_completion_tokens")):
        advice = "lower --critique-tokens"
    elif fault.status == 422:
        advice = (
            "the server takes no such request: change the row or the scale, or use another judge"
        )
    else:
        advice = "run the same command again to retry the failed rows"
    return EngineError(f"{server}: {reason}; {advice}")


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else "hours"


WITHHELD_ADVICE = "change the row, or judge it with a model of your own"
