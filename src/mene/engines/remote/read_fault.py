"""Finding the error in a server's reply, in any of the usual shapes. Functions without I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mene.engines.remote.answer import clean
from mene.engines.remote.faults import Fault


def read_fault(status: int, headers: Mapping[str, str], body: Any, text: str) -> Fault | None:
    """Return the error in a reply, whatever its status; None where there is none.

    Args:
        body: the reply's JSON; None where it is not JSON, and ``text`` holds the reply.
    """
    if isinstance(body, list) and len(body) == 1:  # Gemini wraps its errors in a list
        body = body[0]
    found = _error_of(body)
    if status < 400 and found is None:
        return None
    outer: dict[str, Any] = body if isinstance(body, dict) else {}
    if status >= 400 and found is None and isinstance(outer.get("detail"), dict):
        found = outer["detail"]  # System One: type and message
    inner: dict[str, Any] = found if isinstance(found, dict) else {}
    reason = _words(found if found is not None else body) or _page(text)
    metadata = inner.get("metadata")
    raw = (
        metadata.get("raw") if isinstance(metadata, dict) else None
    )  # the provider's words, wrapped by OpenRouter
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
        in_one_line(reason) or f"HTTP {status}",
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
    """Return the message of an error of any of the usual shapes; for a rejected value, after its location."""
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
    """Return the words of an HTML page, or of plain text."""
    # Redact before cutting: ``clean`` would not recognise half a key.
    head = re.sub(r"(?is)<(script|style)\b.*?</\1>", " ", clean(text)[:4000])
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", head)).strip()


def in_one_line(text: str) -> str:
    """Return the first line, shortened, without control characters and secrets."""
    lines = re.sub(r"[\x00-\x08\x0e-\x1f\x7f-\x9f]+", " ", clean(text)).strip().splitlines()
    return lines[0][:200].rstrip(" .") if lines else ""


def _status(value: Any) -> int | None:
    if isinstance(value, str) and re.fullmatch(r"[45]\d\d", value):
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 400 <= value < 600:
        return value
    return None


def _status_of(words: str) -> int:
    """Return a status for an error in a 200 that has none; a server error where nothing else fits."""
    for status, pattern in (
        (401, r"invalid.?api.?key|authenticat|unauthori[sz]ed"),
        (429, r"rate.?limit|too many requests"),
        (404, r"model\b.*\b(not found|does not exist)|not_found"),
        (400, r"invalid_request|bad_request|validation"),
    ):
        if re.search(pattern, words, re.I):
            return status
    return 500
