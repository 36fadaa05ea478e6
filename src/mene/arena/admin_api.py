"""``/api/admin``: for moderators, who have keys of their own. Decisions are logged and can be reversed."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from mene.arena.moderation import decisions, left_out
from mene.arena.moderation import moderate as moderate_
from mene.arena.state import arena_of
from mene.arena.words import Battle, Moderation, Vote, holdable
from mene.serve.body import read_body
from mene.serve.door import Door, Refused, answer
from mene.serve.keys import no_key
from mene.serve.metrics import MIME

SHOWN = 50  # maximum battles of a voter shown
LINES = 100  # log lines per page
Handler = Callable[[Request, str], Awaitable[Response]]


class ModerateRequest(BaseModel):
    """A decision on a battle or a voter."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["battle", "voter"]
    target: str = Field(min_length=1, max_length=64)
    what: Literal["leave_out", "take_back"]
    why: str = Field(min_length=3, max_length=1000)


def guarded(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    """Require an admin's key, and pass the admin's name to the handler."""

    @wraps(handler)
    async def route(request: Request) -> Response:
        arena = arena_of(request)
        if arena.admins is None:
            raise Refused(404, "this arena is moderated on its own machine alone", "not_found")
        given = request.headers.get("authorization")
        if (who := arena.admins.who(given)) is None:
            raise no_key(given is not None)
        return await handler(request, who)

    return route


@guarded
async def overview(request: Request, who: str) -> Response:
    """A page of the log, voters with a habit, how much is left out, and judges that are down."""
    arena = arena_of(request)
    log = await arena.stored(decisions, arena.store, most=LINES, before=_before(request))
    battles, voters = await arena.stored(left_out, arena.store)
    suspects = await arena.computed(arena.boards.suspects)
    return answer(
        {
            "log": [line.model_dump(mode="json") | {"number": number} for number, line in log],
            "left_out": {"battles": len(battles), "voters": len(voters)},
            "suspects": [dataclasses.asdict(one) for one in suspects],
            "down": sorted(arena.down.now()),
            "under_way": arena.fighting.total(),
        }
    )


@guarded
async def voter(request: Request, who: str) -> Response:
    """The last battles of a voter, with their votes: what a decision is made from."""
    arena = arena_of(request)
    found = await arena.stored(arena.store.last_battles, _id(request), SHOWN)
    return answer({"battles": [_told(battle, vote) for battle, vote in found]})


@guarded
async def battle(request: Request, who: str) -> Response:
    """One battle."""
    arena = arena_of(request)
    id = _id(request)
    found = await arena.stored(arena.store.battle, id)
    return answer({"battle": _told(found, await arena.stored(arena.store.vote_of, id))})


@guarded
async def moderate(request: Request, who: str) -> Response:
    """Leave something out of ratings and exports, or take that back."""
    arena = arena_of(request)
    body = await read_body(request, ModerateRequest, arena.serving.limits)
    line = Moderation(
        target=body.target, kind=body.kind, what=body.what, why=body.why.strip(), by=f"admin {who}"
    )
    await arena.stored(moderate_, arena.store, line)
    return answer({"done": line.model_dump(mode="json")})


@guarded
async def metrics(request: Request, who: str) -> Response:
    """Counters for Prometheus. They name judges as they are asked, and are for admins alone."""
    serving = arena_of(request).serving
    page = serving.meter.page(serving.judges.desks, serving.judges.cache)
    return Response(page, media_type=MIME)


def _id(request: Request) -> str:
    return holdable(request.query_params.get("id", "")[:64])


def _before(request: Request) -> int | None:
    said = request.query_params.get("before", "")
    return int(said) if said.isdecimal() and len(said) < 19 else None


def _told(battle: Battle, vote: Vote | None) -> dict[str, Any]:
    return {
        **battle.model_dump(mode="json"),
        "vote": vote.model_dump(mode="json") if vote is not None else None,
    }


# Not protected by the voters' key, since admins have keys of their own.
DOORS = (
    Door("GET", "/api/admin", overview, "The log of moderation, the newest first (?before=NUMBER).", open=True),
    Door("GET", "/api/admin/voter", voter, "A voter's last battles (?id=).", open=True),
    Door("GET", "/api/admin/battle", battle, "A battle (?id=).", open=True),
    Door(
        "POST", "/api/admin/moderate", moderate, "Leave out, or take that back.",
        takes=ModerateRequest, open=True,
    ),
    Door("GET", "/metrics", metrics, "Counters for Prometheus.", open=True),
)  # fmt: skip
