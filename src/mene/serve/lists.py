"""Lists of criteria, templates and judges. Read-only."""

from __future__ import annotations

from functools import cache
from typing import Any, Literal

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from mene.criterion import criterion_names, load_criterion
from mene.serve.door import Door, answer
from mene.serve.serving import serving_of
from mene.template import template_names

# System One requires a date for a model; a judge's file has none, so this is the date of the response format.
RELEASED = "2026-11-26"


class CriteriaResponse(BaseModel):
    """The criteria of the library, whole."""

    criteria: list[dict[str, Any]]


class ModelsResponse(BaseModel):
    """Judges and their other names."""

    object: Literal["list"]
    data: list[dict[str, Any]]
    models: list[dict[str, str]]


class JudgesResponse(BaseModel):
    """The judges that are served, the default one first, and the templates they can be asked with."""

    judges: list[dict[str, Any]]
    templates: list[str]


async def criteria(request: Request) -> Response:
    """Return the criteria of the library."""
    return answer({"criteria": _criteria()})


@cache
def _criteria() -> list[dict[str, Any]]:
    found = [load_criterion(name) for name in criterion_names()]
    return [one.model_dump(mode="json") | {"short": str(one.scale)} for one in found]


async def judges(request: Request) -> Response:
    """Return the judges and the templates."""
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


async def models(request: Request) -> Response:
    """Return the judges, in a form that is valid for System One and OpenAI."""
    judges = serving_of(request).judges
    listed = {name: preset.about.strip() or name for name, preset in judges.presets.items()}
    listed |= {alias: f"another name of {name}" for alias, name in judges.aliases.items()}
    return answer(
        {
            "object": "list",
            "data": [
                {"id": name, "object": "model", "created": 0, "owned_by": "mene"} for name in listed
            ],
            "models": [
                {"name": name, "description": about, "release_date": RELEASED}
                for name, about in listed.items()
            ],
        }
    )


DOORS = (
    Door("GET", "/v1/models", models, "The judges that are served.", gives=ModelsResponse),
    Door("GET", "/v1/criteria", criteria, "The criteria of the library.", gives=CriteriaResponse),
    Door("GET", "/v1/judges", judges, "The judges that are served.", gives=JudgesResponse),
)
