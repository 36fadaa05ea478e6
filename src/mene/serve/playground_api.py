"""The playground: its files, and the routes that its page needs besides those of ``judge_api`` and ``lists``.

The files listed here are read once; a request never names a file.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict
from starlette.requests import Request
from starlette.responses import Response

from mene.errors import SampleError
from mene.sample import FIELDS, Sample
from mene.scale import Scale
from mene.serve.body import read_body
from mene.serve.door import Door, Handler, answer, wrong
from mene.serve.serving import serving_of
from mene.serve.wanted import check_names
from mene.values.fields import read_as

FOLDER = Path(__file__).parent / "playground"
PARTS = Path(__file__).parents[1] / "pages"  # shared with the arena's pages
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
LONGEST_SCALE = 2000  # characters


@cache
def _examples() -> list[dict[str, Any]]:
    lines = (FOLDER / "examples.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


async def examples(request: Request) -> Response:
    """Return example samples, each with its criterion, its source, and its human label, if any."""
    return answer({"examples": _examples()})


async def scale(request: Request) -> Response:
    """Return the labels of a scale in its short form, ``?text=1-5``; the page shows them while the user types."""
    text = request.query_params.get("text", "")[:LONGEST_SCALE]
    try:
        found = Scale.parse(text)
    except ValueError as error:
        raise wrong(str(error), "text") from None
    return answer({"kind": found.kind, "labels": found.labels, "short": str(found)})


class RowRequest(BaseModel):
    """A row of any tool that ``mene judge`` reads."""

    model_config = ConfigDict(extra="forbid")

    row: dict[str, Any]


async def sample(request: Request) -> Response:
    """Return the fields that mene finds in a row, and those it read from a column with another name."""
    body = await read_body(request, RowRequest, serving_of(request).limits)
    try:
        check_names(body.row)
        found = Sample.from_row(body.row)
    except SampleError as error:
        raise wrong(str(error), "row") from None
    fields = {name: text for name in FIELDS if (text := getattr(found, name)) is not None}
    renamed = {field: column for column, field in read_as(body.row, None, fields)}
    return answer({"sample": fields, "read_as": renamed})


def page_file(path: Path) -> Handler:
    """Return a handler that responds with a file, which is read now."""
    content, kind = path.read_bytes(), TYPES[path.suffix]

    async def handler(request: Request) -> Response:
        return Response(content, media_type=kind)

    return handler


def _doors() -> Iterator[Door]:
    for path in [*sorted(FOLDER.iterdir()), *sorted(PARTS.iterdir())]:
        if path.suffix in TYPES:
            url = "/" if path.name == "index.html" else f"/playground/{path.name}"
            # Public: a browser that opens a page sends no key. The page asks the user for it.
            yield Door("GET", url, page_file(path), "The playground.", open=True, listed=False)
    more = {"/playground/examples": examples, "/playground/scale": scale}
    for url, handler in more.items():
        yield Door("GET", url, handler, "For the playground.", listed=False)
    yield Door(
        "POST", "/playground/sample", sample, "For the playground.", takes=RowRequest, listed=False
    )


DOORS = tuple(_doors())
