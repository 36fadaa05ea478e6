"""Routes and refusals: one list of doors defines the routes and the OpenAPI page."""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from mene.errors import ContextOverflow, MeneError, ModelError
from mene.serve.job import Closing, Full, TooMany
from mene.serve.words import told

# Format of a route's errors, by its protocol. Mene's own format is compatible with all of them.
Family = Literal["mene", "systemone", "openai", "atla"]
Handler = Callable[[Request], Awaitable[Response]]
JSON = "application/json"
WRITTEN = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, allow_nan=False, separators=(",", ":")
)


@dataclass(frozen=True)
class Door:
    """A route.

    Attributes:
        takes, gives: models of the bodies, for the OpenAPI page.
        open: needs no API key.
        streams: may answer with server-sent events.
        listed: whether it is in the OpenAPI page.
    """

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str
    handler: Handler
    summary: str
    family: Family = "mene"
    takes: type[BaseModel] | None = None
    gives: type[BaseModel] | None = None
    open: bool = False
    streams: bool = False
    listed: bool = True


class Refused(Exception):
    """A request that is answered with an error.

    Args:
        status: HTTP status.
        message: what is wrong, and what to do.
        kind: a short name of the error.
        where: path of the wrong field in the body, if any.
        headers: additional headers.
    """

    def __init__(
        self,
        status: int,
        message: str,
        kind: str,
        where: Sequence[str | int] | None = None,
        headers: Mapping[str, str] | None = None,
        mistakes: list[dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.kind = status, message, kind
        self.headers = dict(headers or {})
        self.mistakes = mistakes
        if where is not None and mistakes is None:
            self.mistakes = [{"loc": ["body", *where], "msg": message, "type": kind}]


def wrong(message: str, *where: str | int, kind: str = "value_error") -> Refused:
    """Return the refusal of an invalid body."""
    return Refused(422, message, kind, where)


def refused(error: MeneError) -> Refused:
    """Return the refusal for a request that ended with an error."""
    text = told(error)
    if isinstance(error, Full):
        wait = error.retry_after_s
        headers = {
            "retry-after": str(math.ceil(wait)),
            "retry-after-ms": str(math.ceil(wait * 1e3)),
        }
        return Refused(429, text, "rate_limit_error", headers=headers)
    if isinstance(error, NoSuchJudge):
        return Refused(404, text, "api_usage_error")
    if isinstance(error, TooSlow):
        return Refused(504, text, "timeout_error", headers={"x-should-retry": "false"})
    if isinstance(error, Closing | ModelError):
        return Refused(503, text, "overloaded_error", headers={"retry-after": "5"})
    if isinstance(error, TooMany):
        return Refused(413, text, "too_many_judgements")
    if isinstance(error, ContextOverflow):
        return Refused(413, text, "max_tokens_exceeded")
    # An engine's error about one prompt would repeat: no 5xx, which makes clients retry.
    return Refused(422, text, "value_error", ())


class NoSuchJudge(MeneError):
    """The request names a model that this server does not have."""


class TooSlow(MeneError):
    """The request exceeded its time limit."""


# Error types in OpenAI's terms.
OPENAI = {
    "authentication_error": ("authentication_error", "invalid_api_key"),
    "api_usage_error": ("invalid_request_error", "model_not_found"),
    "max_tokens_exceeded": ("invalid_request_error", "context_length_exceeded"),
    "rate_limit_error": ("rate_limit_error", "rate_limit_exceeded"),
    "timeout_error": ("server_error", "timeout"),
    "overloaded_error": ("server_error", "overloaded"),
    "server_error": ("server_error", None),
    "not_found": ("invalid_request_error", "not_found"),
}


def refusal(error: Refused, family: Family = "mene") -> Response:
    """Return the error as a response, in the format of a protocol family."""
    status, body = error.status, dict[str, Any]()
    if family != "openai":
        detail: Any = {"error_type": error.kind, "message": error.message}
        body["detail"] = detail if error.mistakes is None else error.mistakes
    if family in ("openai", "mene"):
        kind, code = OPENAI.get(error.kind, ("invalid_request_error", None))
        where = error.mistakes[0]["loc"][1:] if error.mistakes else []
        param = "".join(f"[{k}]" if isinstance(k, int) else f".{k}" for k in where).lstrip(".")
        body["error"] = {
            "message": error.message,
            "type": kind,
            "param": param or None,
            "code": code,
        }
        if family == "openai" and status == 422:
            status = 400
    return answer(body, status, error.headers)


def answer(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a JSON response without NaN and lone surrogates."""
    data = WRITTEN.encode(body).encode("utf-8", "replace")
    return Response(data, status, headers=headers, media_type=JSON)


@dataclass(frozen=True)
class Limits:
    """Limits of a request.

    Attributes:
        body: bytes of a body, decompressed.
        field: characters of a text in it.
        rows: number of judgements.
        seconds: total time.
        reading_s: time until its body has arrived.
        critique_tokens, draws: maximum values.
    """

    body: int = 4_000_000
    field: int = 1_000_000
    rows: int = 512
    seconds: float = 600.0
    reading_s: float = 60.0
    critique_tokens: int = 2048
    draws: int = 16
