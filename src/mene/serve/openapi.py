"""``/openapi.json``, generated from the doors (routes) and their models, and ``/docs``, a page of it without scripts."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from html import escape
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

import mene
from mene.serve.door import JSON, Door

REF = "#/components/schemas/{model}"
ERRORS = {
    400: "The request cannot be read.",
    401: "No API key, or one that is not known here.",
    403: "A page of another site asks, and may not.",
    404: "There is no such judge or thing.",
    408: "The body did not come in time.",
    413: "The body, a field of it or the prompt is too long.",
    415: "The body is packed in an unknown way.",
    421: "The server is called by a name that it does not answer to.",
    422: "The body is not what it should be; `detail` says where.",
    429: "The queue is full; Retry-After says when there will be room, at the speed measured.",
    503: "The judge is not ready, or the server is shutting down.",
    504: "The time limit of the request is over.",
}
# Of one route each.
MORE_ERRORS = {"/v1/metrics": {409: "There is a metric of that name already."}}
# OpenAPI 3.1 has no word for a stream: tools that check one hold each of its events to the schema.
EVENT = {
    "type": "object",
    "description": "One of the server-sent events.",
    "required": ["data"],
    "properties": {"event": {"type": "string"}, "data": {"type": "string"}},
}
QUIET_ERRORS = (401, 403, 404, 421, 503)  # for routes without a body
ERROR_BODY = {
    "type": "object",
    "properties": {
        "detail": {"description": "What is wrong: a list of mistakes, or error_type and message."},
        "error": {"type": "object", "description": "The same in OpenAI's form."},
    },
}


def openapi(doors: Sequence[Door]) -> dict[str, Any]:
    """Return the OpenAPI document of these routes."""
    schemas: dict[str, Any] = {"Error": ERROR_BODY}
    paths: dict[str, dict[str, Any]] = {}
    for door in doors:
        if door.listed:
            paths.setdefault(door.path, {})[door.method.lower()] = _operation(door, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "mene",
            "version": mene.__version__,
            "description": "A judge of the output of language models.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"key": []}, {}],
    }


def _operation(door: Door, schemas: dict[str, Any]) -> dict[str, Any]:
    content: dict[str, Any] = {JSON: {"schema": _schema(door.gives, schemas)}}
    if door.streams:
        content["text/event-stream"] = {"schema": EVENT}
    if door.path == "/metrics":
        content = {"text/plain": {"schema": {"type": "string"}}}
    failed = {"content": {JSON: {"schema": {"$ref": REF.format(model="Error")}}}}
    answers: dict[str, Any] = {"200": {"description": "The answer.", "content": content}}
    for status in ERRORS if door.takes else QUIET_ERRORS:
        answers[str(status)] = {"description": ERRORS[status], **failed}
    for status, about in MORE_ERRORS.get(door.path, {}).items():
        answers[str(status)] = {"description": about, **failed}
    operation: dict[str, Any] = {
        "summary": door.summary,
        "operationId": re.sub(r"\W+", "_", f"{door.method}{door.path}").strip("_").lower(),
        "responses": answers,
    }
    if door.takes is not None:
        body = {JSON: {"schema": _schema(door.takes, schemas)}}
        operation["requestBody"] = {"required": True, "content": body}
    if places := re.findall(r"{(\w+)(?::\w+)?}", door.path):
        operation["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in places
        ]
    if door.open:
        operation["security"] = []
    return operation


def _schema(model: Any, schemas: dict[str, Any]) -> dict[str, Any]:
    """Return a reference to a model's schema, which is added to ``schemas``."""
    if model is None:
        return {"type": "object"}
    found = model.model_json_schema(ref_template=REF)
    schemas.update(found.pop("$defs", {}))
    schemas[model.__name__] = found
    return {"$ref": REF.format(model=model.__name__)}


def docs_page(document: dict[str, Any]) -> str:
    """Return an HTML page of all routes with their parameters."""
    parts = []
    schemas = document["components"]["schemas"]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            name = f"{method.upper()} {path}"
            parts.append(f"<h2>{escape(name)}</h2><p>{escape(operation['summary'])}</p>")
            taken = operation.get("requestBody", {}).get("content", {}).get(JSON)
            if taken is not None:
                parts.append(_table(schemas[taken["schema"]["$ref"].rsplit("/", 1)[1]]))
    body = "\n".join(parts)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>mene: API</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="stylesheet" href="/docs.css"></head>
<body><main><h1>mene {escape(document["info"]["version"])}</h1>
<p>The same for programs: <a href="/openapi.json">/openapi.json</a>. Errors and examples: docs/serve.md.</p>
{body}</main></body></html>"""


def _table(schema: dict[str, Any]) -> str:
    needed = schema.get("required", ())
    rows = []
    for name, field in schema.get("properties", {}).items():
        said = field.get("description", "")
        must = " (required)" if name in needed else ""
        kind = escape(kind_of(field))
        rows.append(f"<tr><th>{escape(name)}{must}</th><td>{kind}</td><td>{escape(said)}</td></tr>")
    about = escape(" ".join(schema.get("description", "").split()))
    return f"<p>{about}</p><table>{''.join(rows)}</table>"


def kind_of(field: dict[str, Any]) -> str:
    """Return the type of a field in a few words."""
    if "anyOf" in field or "oneOf" in field:
        kinds = [kind_of(one) for one in field.get("anyOf") or field["oneOf"]]
        return " or ".join(dict.fromkeys(kind for kind in kinds if kind != "null"))
    if "$ref" in field:
        return field["$ref"].rsplit("/", 1)[1]
    if "enum" in field or "const" in field:
        return " or ".join(json.dumps(one) for one in field.get("enum", [field.get("const")]))
    if field.get("type") == "array":
        return f"list of {kind_of(field.get('items', {}))}"
    if isinstance(field.get("additionalProperties"), dict):
        return f"map of {kind_of(field['additionalProperties'])}"
    return field.get("type", "anything")


STYLE = """:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;margin:0}
main{max-width:60rem;margin:0 auto;padding:1rem}table{border-collapse:collapse;width:100%}
th,td{text-align:left;vertical-align:top;padding:.2rem .8rem .2rem 0;border-top:1px solid #8884;font-weight:normal}
th{font-family:ui-monospace,monospace}h2{font-size:1.1rem;margin-top:2rem;font-family:ui-monospace,monospace}"""
DAY = {"cache-control": "max-age=3600"}


async def _document(request: Request) -> Response:
    text = json.dumps(openapi(request.app.state.doors), ensure_ascii=False)
    return Response(text, media_type=JSON, headers=DAY)


async def _docs(request: Request) -> Response:
    page = docs_page(openapi(request.app.state.doors))
    return Response(page, media_type="text/html; charset=utf-8", headers=DAY)


async def _style(request: Request) -> Response:
    return Response(STYLE, media_type="text/css; charset=utf-8", headers=DAY)


DOORS = (
    Door("GET", "/openapi.json", _document, "This document.", open=True),
    Door("GET", "/docs", _docs, "It as a page.", open=True, listed=False),
    Door("GET", "/docs.css", _style, "Its style.", open=True, listed=False),
)
