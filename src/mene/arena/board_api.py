"""``/api/board``: the leaderboard as JSON, its history, and an image to share."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from mene.arena.board import Board, Filters, Row
from mene.arena.card import card
from mene.arena.state import Arena, arena_of
from mene.arena.visitors import address_of
from mene.errors import UsageError
from mene.judge.preset import SERVED
from mene.serve.door import Door, answer, wrong

KNOWN = ("criterion", "kind", "group", "judges", "since", "until", "style", "intervals")
POINTS = 40  # of a history
LONGEST = 500  # characters of a filter


async def board(request: Request) -> Response:
    """The route; filters are in the query."""
    arena, found = arena_of(request), await _board(request)
    told = found.model_dump(mode="json")
    told["rows"] = [
        _public(told_row) | _beside(arena, row)
        for told_row, row in zip(told["rows"], found.rows, strict=True)
    ]
    seen = {row.judge for row in found.rows}
    told["waiting"] = [name for name in arena.judges if name not in seen]
    return answer(told)


async def history(request: Request) -> Response:
    """The ratings over time."""
    arena, filters = arena_of(request), _filters(request)
    arena.looks.count(address_of(request))
    try:
        found = await arena.computed(arena.boards.history, POINTS, filters)
    except UsageError as error:
        raise wrong(str(error), "query") from None
    return answer({"history": [moment.model_dump(mode="json") for moment in found]})


async def share(request: Request) -> Response:
    """The card: the first judges as a picture, which other pages may show."""
    arena = arena_of(request)
    found = await arena.standing.get()
    headers = {"cross-origin-resource-policy": "cross-origin", "cache-control": "max-age=60"}
    return Response(card(found), media_type="image/svg+xml", headers=headers)


async def _board(request: Request) -> Board:
    arena, filters = arena_of(request), _filters(request)
    try:
        if filters == Filters():
            return await arena.standing.get()
        arena.looks.count(address_of(request))
        return await arena.computed(arena.boards.board, filters)
    except UsageError as error:
        raise wrong(str(error), "query") from None


def _filters(request: Request) -> Filters:
    """Return the filters in the query. Raise Refused for an unknown or invalid one."""
    given = {name: value for name, value in request.query_params.items() if value}
    if unknown := sorted(given.keys() - set(KNOWN)):
        raise wrong(f"no filter {unknown[0][:80]}; there are {', '.join(KNOWN)}", "query")
    if long := [name for name, value in given.items() if len(value) > LONGEST]:
        raise wrong(f"{long[0]}: longer than {LONGEST} characters", "query")
    found: dict[str, Any] = dict(given)
    if "judges" in found:
        found["judges"] = tuple(filter(None, given["judges"].split(",")))
    if "style" in found:
        found["style"] = given["style"] in ("1", "true", "yes")
    for name in ("since", "until"):
        if name in found:
            found[name] = _time(given[name], name)
    return Filters(**found)


def _time(text: str, name: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise wrong(f"{name}: write a time like 2026-11-26T12:00:00Z", "query") from None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _public(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row without its counts of battles: comparing them before and after a battle began would reveal who fights."""
    begun, failed = row.pop("begun"), row.pop("failed")
    return row | {"failed": round(failed / begun, 2) if begun else None}


def _beside(arena: Arena, row: Row) -> dict[str, Any]:
    """Return further facts about a judge, besides votes."""
    preset = arena.serving.judges.presets.get(row.judge)
    facts = dict(arena.facts.get(row.judge, {}))
    if preset is None:
        return {"here": False, **facts}
    price = arena.prices.get(row.judge)
    return {
        "here": True,
        "license": preset.license,
        "size": preset.weights.size,
        "served": preset.engine in SERVED,
        "writes": preset.explains,
        "cost": None if price is None else price.of_thousand(row.tokens_in, row.tokens_out),
        **facts,
    }


DOORS = (
    Door("GET", "/api/board", board, "The leaderboard; filters in the query.", gives=Board),
    Door("GET", "/api/board/history", history, "The ratings over time."),
    Door("GET", "/api/board/card.svg", share, "The first judges, as a picture."),
)
