"""The arena's pages, and their API routes other than battles and leaderboard.

The files listed here are read once; a request never names a file. A page is its own content in a frame that all pages share.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from jinja2 import Environment, FileSystemLoader
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from mene.arena.moderation import delete_all_of
from mene.arena.state import arena_of
from mene.arena.visitors import address_of, forget, known_voter, remember, voter_of
from mene.arena.voter import new_token
from mene.serve import lists, playground_api
from mene.serve.body import read_body
from mene.serve.door import Door, Handler, Refused, answer
from mene.serve.playground_api import TYPES, page_file

FOLDER = Path(__file__).parent / "pages"
PAGES = {"index": "/", "board": "/leaderboard", "terms": "/terms", "admin": "/admin"}
_FRAMED = Environment(loader=FileSystemLoader(FOLDER), autoescape=True)
# Parts that the playground uses, too.
SHARED = tuple(sorted(path.name for path in playground_api.PARTS.iterdir() if path.suffix in TYPES))


class TermsRequest(BaseModel):
    """Agreement to the terms, as they are now."""

    model_config = ConfigDict(extra="forbid")

    version: str = Field(max_length=40)


async def about(request: Request) -> Response:
    """Return what a page shows first: the judges, the terms, and whether this browser has agreed to them."""
    arena = arena_of(request)
    presets = arena.serving.judges.presets
    return answer(
        {
            "judges": [
                {"name": name, "about": preset.about.strip(), "license": preset.license}
                for name, preset in presets.items()
            ],
            "terms": {"version": arena.terms.version, "more": arena.terms.more},
            "agreed": known_voter(request, arena.salt) is not None,
            "moderated": arena.admins is not None,
            "samples": len(arena.samples.rows),
            "seconds": arena.seconds,
        }
    )


async def draw(request: Request) -> Response:
    """Return a random sample, ``?criterion=NAME&other=ID``. Its human label is shown after the vote."""
    arena = arena_of(request)
    wanted = request.query_params.get("criterion", "")[:200]
    found = arena.samples.draw(wanted, request.query_params.get("other", "")[:200])
    if found is None:
        message = f'no sample here is judged by "{wanted}"; leave the criterion out'
        raise Refused(404, message, "not_found")
    return answer(found.shown())


async def agree(request: Request) -> Response:
    """Agree to the terms: the browser gets a token that identifies its votes."""
    arena = arena_of(request)
    body = await read_body(request, TermsRequest, arena.serving.limits)
    if body.version != arena.terms.version:
        raise Refused(409, "the terms have changed; read them again", "terms")
    response = answer({"agreed": True})
    if known_voter(request, arena.salt) is None:
        arena.newcomers.count(address_of(request))
        remember(response, new_token(arena.salt), arena.secure or request.url.scheme == "https")
    return response


async def leave(request: Request) -> Response:
    """Delete all votes and battles of this browser, and its token."""
    arena = arena_of(request)
    voter = voter_of(request, arena.salt)
    if arena.fighting[voter]:
        message = "a battle of yours is under way; stop it first"
        raise Refused(409, message, "under_way")
    gone = await arena.stored(delete_all_of, arena.store, voter)
    response = answer({"deleted": gone})
    forget(response)
    return response


async def alive(request: Request) -> Response:
    """Return that the process is alive."""
    return answer({"status": "ok"})


def page(name: str) -> str:
    """Return a page's HTML."""
    return _FRAMED.get_template(f"{name}.html").render()


def _page(text: str) -> Handler:
    async def handler(request: Request) -> Response:
        return Response(text, media_type=TYPES[".html"])

    return handler


def _doors() -> Iterator[Door]:
    for name, url in PAGES.items():
        # Public: a browser that opens a page sends no key. The page asks the user for it.
        yield Door("GET", url, _page(page(name)), "A page.", open=True, listed=False)
    for path in sorted(FOLDER.iterdir()):
        if path.suffix in TYPES and path.suffix != ".html":
            url = f"/arena/{path.name}"
            yield Door("GET", url, page_file(path), "Of a page.", open=True, listed=False)
    for name in SHARED:
        handler = page_file(playground_api.PARTS / name)
        yield Door("GET", f"/playground/{name}", handler, "Of a page.", open=True, listed=False)
    yield Door("GET", "/healthz", alive, "Is the process alive?", open=True)
    yield Door("GET", "/api/arena", about, "Judges and terms.")
    yield Door("POST", "/api/terms", agree, "Agree to the terms.", takes=TermsRequest)
    yield Door("DELETE", "/api/votes", leave, "Delete all that this browser left.")
    yield Door("GET", "/api/samples/random", draw, "A sample at random.")
    yield Door("GET", "/api/criteria", lists.criteria, "The criteria of the library.")
    yield Door("GET", "/playground/scale", playground_api.scale, "A scale's labels.", listed=False)
    yield Door(
        "POST", "/playground/sample", playground_api.sample, "The fields of a row.",
        takes=playground_api.RowRequest, listed=False,
    )  # fmt: skip


DOORS = tuple(_doors())
