"""Reading a request's body up to its size limit, as a validated model."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from mene.serve.door import Limits, Refused, wrong
from mene.serve.mistakes import loaded, refused_body

log = logging.getLogger("mene.serve")
Model = TypeVar("Model", bound=BaseModel)
ZSTD = "zstd"


async def read_body(request: Request, model: type[Model], limits: Limits) -> Model:
    """Return the body as ``model``.

    Raises:
        Refused: it is too long (413), in an unknown compression (415), or invalid (422), including repeated keys in an object.
    """
    data = await _bytes(request, limits)
    if request.scope["mene.serving"].log_rows:
        log.info("%s %s", request.url.path, data.decode("utf-8", "replace"))
    try:
        found = model.model_validate_json(data)
    except ValidationError as error:
        raise refused_body(error, model, loaded(data)) from None
    if (twice := key_twice(data)) is not None:
        raise wrong(f'"{str(twice[-1])[:80]}" stands here twice; give each key once', *twice)
    return found


def key_twice(data: bytes) -> tuple[str | int, ...] | None:
    """Return the path of a repeated key in an object, which parsers silently drop; None where there is none.

    Args:
        data: JSON that a parser has accepted.
    """
    text = data.decode()
    try:
        SEEN.decode(text)  # builds nothing; nearly all bodies need no more than this
    except _TwiceError:
        return _path_of_twice(text)
    return None


class _TwiceError(Exception):
    """An object has a repeated key."""


def _seen(pairs: list[tuple[str, Any]]) -> None:
    if len(pairs) > 1 and len({key for key, _ in pairs}) < len(pairs):
        raise _TwiceError


# Numbers stay text, since parsing very long ones is slow.
SEEN = json.JSONDecoder(object_pairs_hook=_seen, parse_int=str, parse_float=str)


def _path_of_twice(text: str) -> tuple[str | int, ...] | None:
    def kept(pairs: list[tuple[str, Any]]) -> Any:
        found = dict(pairs)
        if len(found) == len(pairs):
            return found
        return _Twice(Counter(key for key, _ in pairs).most_common(1)[0][0])

    left: list[tuple[Any, tuple[str | int, ...]]] = [
        (json.loads(text, object_pairs_hook=kept, parse_int=str, parse_float=str), ())
    ]
    while left:
        value, path = left.pop()
        if isinstance(value, _Twice):
            return *path, value.key
        if isinstance(value, dict):
            left += [(one, (*path, key)) for key, one in value.items()]
        elif isinstance(value, list):
            left += [(one, (*path, number)) for number, one in enumerate(value)]
    return None


@dataclass(frozen=True)
class _Twice:
    """Stands for an object with a repeated key."""

    key: str


async def _bytes(request: Request, limits: Limits) -> bytes:
    kind = packed = said = ""
    for name, value in request.scope["headers"]:
        if name == b"content-type":
            kind = value.decode("latin-1").strip().lower()
        elif name == b"content-encoding":
            packed = value.decode("latin-1").strip().lower()
        elif name == b"content-length":
            said = value.decode("latin-1")
    if kind.startswith("multipart/"):
        raise wrong("images are not supported; send JSON", "assets")
    if packed not in ("identity", "", ZSTD) or (packed == ZSTD and _zstd() is None):
        raise Refused(
            415, f"Content-Encoding {packed[:20]} is not read here; send it as it is", "value_error"
        )
    if said.isdecimal() and int(said[:20]) > limits.body:
        raise _too_long(limits)
    data = await _read(request, limits)
    return _unpacked(data, limits) if packed == ZSTD else data


async def _read(request: Request, limits: Limits) -> bytes:
    parts, size, more, late = list[bytes](), 0, True, False
    task = asyncio.current_task()
    assert task is not None

    def end() -> None:
        nonlocal late
        late = True
        task.cancel()

    # Most bodies have arrived already, and `asyncio.timeout` costs more than reading one.
    timer = asyncio.get_running_loop().call_later(limits.reading_s, end)
    try:
        while more:
            message = await request.receive()
            if message["type"] == "http.disconnect":
                raise Refused(499, "the client went away", "value_error")
            part, more = message.get("body", b""), message.get("more_body", False)
            size += len(part)
            if size > limits.body:
                raise _too_long(limits)
            parts.append(part)
    except asyncio.CancelledError:
        if not late or task.uncancel():
            raise
        said = f"the body did not come within {limits.reading_s:g} s"
        raise Refused(408, said, "timeout_error", headers={"connection": "close"}) from None
    finally:
        timer.cancel()
    return b"".join(parts)


def _too_long(limits: Limits) -> Refused:
    # Close, since the rest of the body is still to come on this connection.
    return Refused(
        413,
        f"the body is longer than {limits.body:,} bytes; ask in several requests",
        "request_too_large",
        headers={"connection": "close"},
    )


def _zstd() -> Any:
    """Return the zstd module: Python's own from 3.14 on, else the backport, if installed."""
    try:
        from compression import zstd  # pyright: ignore[reportMissingImports]
    except ImportError:
        try:
            from backports import zstd  # pyright: ignore[reportMissingImports]
        except ImportError:
            return None
    return zstd


def _unpacked(data: bytes, limits: Limits) -> bytes:
    zstd = _zstd()
    try:
        unpacking = zstd.ZstdDecompressor()
        found = unpacking.decompress(data, max_length=limits.body + 1)
    except Exception as error:
        raise wrong(f"the body is not zstd: {error}") from None
    if len(found) > limits.body:
        raise _too_long(limits)
    if not unpacking.eof:
        raise wrong("the body's zstd is cut off")
    return found


def text_of(value: Any, limits: Limits, *where: str | int) -> str:
    """Return a text, or any JSON value written as JSON.

    Raises:
        Refused: it is too long, or contains NaN or infinity.
    """
    if not isinstance(value, str):
        try:
            value = json.dumps(value, ensure_ascii=False, allow_nan=False)
        except (ValueError, RecursionError):
            raise wrong(
                "a number is infinite or none, or it is nested too deeply", *where
            ) from None
    if len(value) > limits.field:
        raise Refused(
            413,
            f"{'.'.join(map(str, where))}: longer than {limits.field:,} characters; shorten it",
            "request_too_large",
        )
    return value
