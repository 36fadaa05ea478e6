"""The arena as an ASGI application, with the request handling of ``mene serve`` (headers, keys, limits, no tracebacks)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from mene.arena import admin_api, battle_api, board_api, pages_api
from mene.arena.state import Arena
from mene.arena.words import ArenaError, NoSuchBattle
from mene.serve import openapi
from mene.serve.app import assemble
from mene.serve.door import Door, Limits, Refused

# Of a battle: far less than for ``mene serve``, since people read it.
LIMITS = Limits(body=400_000, field=40_000)
DOORS = (*battle_api.DOORS, *board_api.DOORS, *pages_api.DOORS, *admin_api.DOORS, *openapi.DOORS)


def answering(door: Door) -> Door:
    """Return the route with error answers for an unreachable database, and for a battle deleted meanwhile."""

    async def handler(request: Request) -> Response:
        try:
            return await door.handler(request)
        except NoSuchBattle as error:
            raise Refused(404, str(error), "not_found") from None
        except ArenaError as error:
            wait = {"retry-after": "5"}
            raise Refused(503, str(error), "overloaded_error", headers=wait) from None

    return replace(door, handler=handler)


def build_app(arena: Arena) -> Starlette:
    """Return the application with all routes over one ``Arena``."""

    @asynccontextmanager
    async def living(app: Starlette) -> AsyncIterator[None]:
        warm = [asyncio.create_task(one.get()) for one in (arena.standing, arena.counts)]
        yield
        for work in list(arena.works):  # each is stored as a battle without a vote
            work.cancel()
        await asyncio.gather(*arena.works, *warm, return_exceptions=True)
        await asyncio.to_thread(arena.close)

    app = assemble(arena.serving, [*map(answering, DOORS)], lifespans=[living])
    app.state.arena = arena
    return app
