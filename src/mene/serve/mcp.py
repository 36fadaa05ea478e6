"""The Model Context Protocol: at ``/mcp`` of the server, and on standard input and output (``mene mcp``)."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, redirect_stdout, suppress
from importlib.util import find_spec
from typing import Any

from starlette.applications import Starlette
from starlette.routing import BaseRoute, Route

from mene.errors import MeneError
from mene.serve.door import Limits
from mene.serve.judges import Judges
from mene.serve.serving import Serving

log = logging.getLogger("mene.serve")
PATH = "/mcp"


def routes_for(serving: Serving) -> tuple[list[BaseRoute], Callable[[Starlette], Any] | None]:
    """Return the route, and its lifespan. No tool opens a file here: the caller is not the files' owner."""
    if find_spec("mcp") is None:
        return [], None
    from mcp.server.transport_security import TransportSecuritySettings

    from mene.serve.mcp_tools import mcp_server

    server = mcp_server(serving.judges, serving.limits, files=False)
    made = server.streamable_http_app(
        streamable_http_path=PATH,
        json_response=True,
        stateless_http=True,
        max_request_body_size=serving.limits.body,
        # Keys, Host headers and origins were checked before, as for all routes.
        transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
    )

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with server.session_manager.run():
            yield

    # POST only: a GET would be a stream that never sends anything, and a shutdown would wait for it.
    routes = [one for one in made.routes if isinstance(one, Route)]
    return [Route(one.path, one.endpoint, methods=["POST"]) for one in routes], lifespan


async def on_stdio(judges: Judges, limits: Limits) -> None:
    """Serve the process that started this one, until standard input ends. The judge is loaded in the background."""
    from mene.serve.mcp_tools import mcp_server

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        loading = asyncio.create_task(_load(judges))
        # Otherwise a library's prints would be written at the end to standard output, which is for the protocol only.
        with redirect_stdout(sys.stderr):
            yield
        loading.cancel()
        with suppress(asyncio.CancelledError):
            await loading

    try:
        await mcp_server(judges, limits, files=True, lifespan=lifespan).run_stdio_async()
    finally:
        await judges.close(finish=False)


async def _load(judges: Judges) -> None:
    try:
        await judges.desk()
    except MeneError as error:  # callers of the tools get the error, too
        log.error("%s: %s", judges.default, error)
