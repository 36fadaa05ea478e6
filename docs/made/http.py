"""``reference/http.md``: every route of `mene serve` with the fields it takes and gives, from the server's OpenAPI document."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from mene.serve.app import HEALTH, ROOMS
from mene.serve.openapi import JSON, kind_of, openapi

PAGE = "reference/http.md"
HEAD = """# HTTP routes

All routes of `mene serve`, made from the server itself: `/docs` and `/openapi.json` of a running one say the same. Examples, and
what the answers mean: [Over HTTP](../serve.md). A field that must be there is marked as required.

"""


def document() -> dict[str, Any]:
    """The OpenAPI document of a server."""
    doors = [door for room in ROOMS for door in import_module(f"mene.serve.{room}").DOORS]
    return openapi([*doors, *HEALTH])


def page() -> str:
    """Markdown of all routes, then of the objects that their bodies consist of."""
    found = document()
    schemas = found["components"]["schemas"]
    routes, named = [], set()
    for path, methods in found["paths"].items():
        for method, operation in methods.items():
            about = [operation["summary"]]
            for title, body in (
                ("Takes", operation.get("requestBody", {})),
                ("Gives", operation["responses"]["200"]),
            ):
                reference = body.get("content", {}).get(JSON, {}).get("schema", {}).get("$ref")
                if reference:
                    name = reference.rsplit("/", 1)[1]
                    named.add(name)
                    about.append(f"{title} [{name}](#{name.lower()}).")
            routes.append(f"## {method.upper()} {path}\n\n{' '.join(about)}")
    objects = [f"### {name}\n\n{fields(schemas[name])}" for name in sorted(schemas)]
    assert named <= schemas.keys()
    return HEAD + "\n\n".join([*routes, "## Objects", *objects]) + "\n"


def fields(schema: dict[str, Any]) -> str:
    """An object's description and a table of its fields."""
    needed = schema.get("required", ())
    rows = [
        f"| `{name}` | {cell(kind_of(field))}{', required' if name in needed else ''} | {cell(field.get('description', ''))} |"
        for name, field in schema.get("properties", {}).items()
    ]
    about = cell(schema.get("description", ""))
    table = (
        "\n".join(["| Field | Type | |", "| --- | --- | --- |", *rows])
        if rows
        else f"A {kind_of(schema)}."
    )
    return f"{about}\n\n{table}".strip()


def cell(text: str) -> str:
    """Text in one line of a table, as it is."""
    line = " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
    return line.replace("*", "\\*").replace("_", "\\_") if "`" not in line else line
