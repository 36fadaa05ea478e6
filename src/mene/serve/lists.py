"""What there is to choose from: criteria, templates, judges. Read-only."""

from __future__ import annotations

from functools import cache
from typing import Any

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from mene.criterion import criterion_names, load_criterion
from mene.serve.door import Door, answer
from mene.serve.serving import serving_of
from mene.template import template_names


class CriteriaResponse(BaseModel):
    """The criteria of the library, whole."""

    criteria: list[dict[str, Any]]


class JudgesResponse(BaseModel):
    """The judges that are served, the default one first, and the templates they can be asked with."""

    judges: list[dict[str, Any]]
    templates: list[str]


async def criteria(request: Request) -> Response:
    """The route."""
    return answer({"criteria": _criteria()})


@cache
def _criteria() -> list[dict[str, Any]]:
    found = [load_criterion(name) for name in criterion_names()]
    return [one.model_dump(mode="json") | {"short": str(one.scale)} for one in found]


async def judges(request: Request) -> Response:
    """The route."""
    serving = serving_of(request)
    known = serving.judges
    listed = [
        {
            "name": name,
            "about": preset.about.strip(),
            "warning": preset.warning.strip(),
            "measured": list(preset.measured),
            "license": preset.license,
            "mode": preset.mode,
            "compare": preset.compare,
            "template": preset.template,
            "writes": preset.writes,
            "loaded": name in known.desks,
            "aliases": [alias for alias, meant in known.aliases.items() if meant == name],
        }
        for name, preset in known.presets.items()
    ]
    return answer({"judges": listed, "templates": template_names()})


DOORS = (
    Door("GET", "/v1/criteria", criteria, "The criteria of the library.", gives=CriteriaResponse),
    Door("GET", "/v1/judges", judges, "The judges that are served.", gives=JudgesResponse),
)
