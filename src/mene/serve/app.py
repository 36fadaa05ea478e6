"""The server as an ASGI application: all routes together, and what applies to every request."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from importlib import import_module
from importlib.util import find_spec
from itertools import count
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mene.errors import MeneError
from mene.serve.door import Door, Refused, answer, refusal, refused
from mene.serve.keys import check_host, check_origin, no_key
from mene.serve.metrics import MIME
from mene.serve.serving import Serving, serving_of

log = logging.getLogger("mene.serve")

# Modules with a list DOORS, in the order of the OpenAPI page. MCP adds its own routes.
ROOMS = (
    "judge_api",
    "systemone",
    "decisions",
    "chat",
    "eval",
    "lists",
    "openapi",
    "playground_api",
)
OWN = ("mcp",)
# Pages may run only their own scripts, and contact no other site.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = [
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
]
LINGER_S = 2.0  # seconds in which a client that sends too much can still read the answer
START = secrets.token_hex(6).encode()  # of this process: request ids begin with it
Lifespan = Callable[[Starlette], Any]


def build_app(serving: Serving) -> Starlette:
    """Return the application with all routes over one ``Serving``."""
    # Routes are searched in this order, so the most frequent ones come first.
    doors = [*(door for name in ROOMS for door in _room(name, "DOORS")), *HEALTH]
    routes: list[BaseRoute] = []
    lifespans: list[Lifespan] = []
    for name in OWN:
        if (brings := _own(name)) is not None:
            more, lifespan = brings(serving)
            routes += more
            lifespans += [lifespan] if lifespan is not None else []
    return assemble(serving, doors, routes, lifespans)


def assemble(
    serving: Serving,
    doors: Sequence[Door],
    routes: Sequence[BaseRoute] = (),
    lifespans: Sequence[Lifespan] = (),
) -> Starlette:
    """Return an application of these routes, with the common handling of every request.

    Args:
        routes: routes that are not doors.
        lifespans: context managers that run beside them.
    """
    routes = [*(_route(door) for door in doors), *routes]
    free = frozenset(door.path for door in doors if door.open)
    named = frozenset(route.path for route in routes if isinstance(route, Route))
    middleware = [Middleware(Shell, serving=serving, free=free, named=named)]
    if serving.cors:
        middleware.append(
            Middleware(
                CORSMiddleware,
                allow_origins=sorted(serving.cors),
                allow_methods=["GET", "POST"],
                allow_headers=["authorization", "content-type"],
                expose_headers=["x-request-id", "retry-after"],
            )
        )

    @asynccontextmanager
    async def living(app: Starlette) -> AsyncIterator[None]:
        tasks = [
            asyncio.create_task(serving.judges.free_idle()),
            asyncio.create_task(_warm(serving)),
        ]
        async with _all(lifespans, app):
            yield
        serving.ending = True
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await serving.judges.close()
        if serving.judges.cache is not None:
            serving.judges.cache.close()

    app = Starlette(
        routes=routes,
        middleware=middleware,
        lifespan=living,
        exception_handlers={HTTPException: _http_error},
    )
    app.router.redirect_slashes = False
    app.state.serving = serving
    app.state.doors = doors
    return app


def _room(name: str, what: str) -> Sequence[Door]:
    full = f"mene.serve.{name}"
    return getattr(import_module(full), what) if find_spec(full) is not None else ()


def _own(name: str) -> Callable[[Serving], tuple[list[BaseRoute], Lifespan | None]] | None:
    """Return ``routes_for`` of a module that adds routes with a lifespan of their own."""
    full = f"mene.serve.{name}"
    return getattr(import_module(full), "routes_for", None) if find_spec(full) is not None else None


@asynccontextmanager
async def _all(lifespans: Sequence[Lifespan], app: Starlette) -> AsyncIterator[None]:
    if not lifespans:
        yield
        return
    async with lifespans[0](app), _all(lifespans[1:], app):
        yield


async def _warm(serving: Serving) -> None:
    """Load the default judge, so that the first request does not wait for it."""
    try:
        await serving.judges.desk()
    except Exception as error:  # reported to the request that needs it
        log.error("%s: %s", serving.judges.default, error)


class Endpoint:
    """A route as an application: Starlette's function wrapper costs as much as reading the body."""

    def __init__(self, door: Door) -> None:
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            response = await self._door.handler(Request(scope, receive, send))
        except Refused as error:
            response = refusal(error, self._door.family)
            if error.status == 413 and "connection" in error.headers:
                await _answer_midway(response, receive, send)
                return
        except MeneError as error:
            response = refusal(refused(error), self._door.family)
        await response(scope, receive, send)


async def _answer_midway(response: Response, receive: Receive, send: Send) -> None:
    """Answer a client that is still sending, and read on for a while: if a connection is closed with unread data, the client
    may
    lose the answer (RFC 9112, section 9.6)."""
    head = {"status": response.status_code, "headers": response.raw_headers}
    await send({"type": "http.response.start", **head})
    await send({"type": "http.response.body", "body": response.body, "more_body": True})
    now = asyncio.get_running_loop().time
    until = now() + LINGER_S
    with suppress(TimeoutError):
        async with asyncio.timeout_at(until):
            while now() < until and (await receive()).get("more_body"):
                pass
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def _route(door: Door) -> Route:
    return Route(door.path, Endpoint(door), methods=[door.method])


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path = request.url.path
    if error.status_code == 404:
        return refusal(Refused(404, f"no route {path[:200]}; see /docs", "not_found"))
    if error.status_code == 405:
        message = f"{request.method} is not for {path[:200]}; see /docs"
        return refusal(Refused(405, message, "not_found", headers=error.headers))
    return refusal(Refused(error.status_code, error.detail, "value_error", headers=error.headers))


class Shell:
    """Wraps all routes: access control, headers, request ids, counters, and errors without tracebacks."""

    def __init__(
        self, app: ASGIApp, serving: Serving, free: frozenset[str], named: frozenset[str]
    ) -> None:
        self.app = app
        self.serving = serving
        self._free, self._named = free, named
        self._count = count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = time.perf_counter(), 0
        name = b"%s-%x" % (
            START,
            next(self._count),
        )  # without a system call, which would switch threads

        async def said(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                # The arena's card may be embedded in other pages.
                own = dict(message.get("headers", ()))
                headers = message["headers"] = list(message.get("headers", ()))
                headers += [one for one in HEADERS if one[0] not in own]
                headers += [(b"x-request-id", name), (b"x-typesafe-request-id", name)]
            await send(message)

        path = scope["path"]
        scope["mene.request"] = name.decode()
        scope["mene.serving"] = self.serving
        try:
            self._let_in(scope, path)
            await self.app(scope, receive, said)
        except Refused as error:
            await refusal(error)(scope, receive, said)
        except Exception as error:
            log.error("this should not happen: %s: %s", type(error).__name__, error)
            log.debug("where:", exc_info=error)
            if not status:
                message = f"the server failed on this ({name.decode()} in its log)"
                await refusal(Refused(500, message, "server_error"))(scope, receive, said)
        finally:
            route = scope.get("route")
            template = getattr(route, "path", "") or (path if path in self._named else "other")
            seconds = time.perf_counter() - began
            self.serving.meter.request(template, status or 499, seconds)
            if log.isEnabledFor(logging.DEBUG):
                log.debug("%s %s %d %.1f ms", scope["method"], template, status, seconds * 1e3)

    def _let_in(self, scope: Scope, path: str) -> None:
        """Raise Refused for a missing key, a request from another site's page, or an unknown host name."""
        serving = self.serving
        host, origin, given = "", None, None
        for name, value in scope["headers"]:
            if name == b"host":
                host = value.decode("latin-1")
            elif name == b"origin":
                origin = value.decode("latin-1")
            elif name == b"authorization":
                given = value.decode("latin-1")
        if serving.keys is None and serving.local:
            check_host(host)
        check_origin(origin, host, serving.cors)
        client = scope.get("client")
        scope["mene.client"] = f"{client[0]}:{client[1]}" if client else ""
        if client and client[0] not in ("127.0.0.1", "::1"):
            scope["mene.client"] = client[0]
        if serving.keys is None or path in self._free:
            return
        who = serving.keys.who(given)
        if who is None:
            raise no_key(given is not None)
        scope["mene.client"] = who


async def _alive(request: Request) -> Response:
    return answer({"status": "ok"})


async def _ready(request: Request) -> Response:
    serving = serving_of(request)
    judges = {name: name in serving.judges.desks for name in serving.judges.presets}
    ready = serving.ready
    return answer({"ready": ready, "loaded": judges}, 200 if ready else 503)


async def _metrics(request: Request) -> Response:
    serving = serving_of(request)
    page = serving.meter.page(serving.judges.desks, serving.judges.cache)
    return Response(page, media_type=MIME)


HEALTH: Sequence[Door] = (
    Door("GET", "/healthz", _alive, "Is the process alive?", open=True),
    Door("GET", "/readyz", _ready, "Is the default judge loaded?", open=True),
    Door("GET", "/metrics", _metrics, "Counters for Prometheus."),
)
