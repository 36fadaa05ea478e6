"""Requests with curl in the pages are sent to the server, over a played engine, and the answers have the fields shown."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

pytest.importorskip("starlette", reason='needs pip install "mene[serve]"')

from tests.docs.written import Written, typed, written
from tests.serve.served import Served, served

NOT_SENT = {  # what stands in the request -> why
    "--cacert": "asks a server with TLS",
    "/v1/chat/completions": "llama.cpp writes the answer: tests/serve/test_chat.py",
    "/mcp": "a session of its own: tests/serve/test_mcp.py",
    "-sN": "a stream of events: tests/serve/test_judge_api.py",
}
MAY_LACK = {"critique", "x_mene"}  # what another judge does not say


@dataclass(frozen=True)
class Asked:
    """A request, and what the page says that came."""

    method: str
    path: str
    body: Any
    answer: str


def requests(one: Written) -> list[Asked]:
    """The requests of a block, in their order."""
    found = []
    lines = list(typed(one.block))
    shown = one.block.code.splitlines()
    for at, (number, line) in enumerate(lines):
        if " curl " not in f" {line}" or any(mark in line for mark in NOT_SENT):
            continue
        words = shlex.split(line, comments=True)
        path = re.sub(
            r"^localhost:\d+", "", next(word for word in words if word.startswith("localhost:"))
        )
        body = words[words.index("-d") + 1] if "-d" in words else None
        begin = number - one.block.line + line.count("\n") + 1
        end = lines[at + 1][0] - one.block.line if at + 1 < len(lines) else len(shown)
        answer = "\n".join(shown[begin:end]) if one.block.language == "console" else ""
        found.append(
            Asked("POST" if body else "GET", path, json.loads(body) if body else None, answer)
        )
    return found


ASKED = [
    (one, requests(one))
    for one in written()
    if one.block.language in ("sh", "console") and requests(one)
]


def shape(value: Any) -> Any:
    """The keys of an object and of what is in it, without its values."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items() if key not in MAY_LACK}
    return [shape(value[0])] if isinstance(value, list) and value else None


def read(answer: str) -> Any:
    """The JSON that a page shows, whose lines are broken within texts too."""
    return json.loads(re.sub(r"\n *", " ", answer))


async def said(server: Served, asked: Asked, known: dict[str, str]) -> Any:
    path = re.sub(r"\$(\w+)", lambda name: known[name[1]], asked.path)
    answer: httpx.Response = await server.client.request(asked.method, path, json=asked.body)
    assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text}"
    return answer.json()


@pytest.mark.parametrize("one", ASKED, ids=lambda one: str(one[0]))
def test_an_answer_is_as_it_is_shown(one: tuple[Written, list[Asked]]) -> None:
    async def ask() -> None:
        known: dict[str, str] = {}
        async with served("nano") as server:
            for asked in one[1]:
                got = await said(server, asked, known)
                known["ID"] = got.get("metric_id", known.get("ID", ""))
                if asked.answer.strip():
                    assert shape(got) == shape(read(asked.answer)), asked.path

    asyncio.run(ask())


def test_many_are_sent() -> None:
    assert sum(len(asked) for _, asked in ASKED) >= 8
    everything = "\n".join(one.block.code for one in written())
    assert all(mark in everything for mark in NOT_SENT)


def test_a_wrong_answer_is_found() -> None:
    shown = read('{"verdicts": [{"label": "No",\n  "score": null}]}')
    assert shape({"verdicts": [{"label": "Yes", "score": 1}]}) == shape(shown)
    assert shape({"verdicts": [{"label": "Yes"}]}) != shape(shown)
