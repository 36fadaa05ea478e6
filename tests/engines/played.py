"""A server played in this process, without a socket: a function from a request to a reply."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx

from mene.engines.base import Completion, Request
from mene.engines.remote.openai import OpenAIEngine
from mene.engines.remote.systemone import SystemOneEngine
from mene.message import Message

URL = "http://127.0.0.1:9/v1"
Reply = tuple[int, Any] | dict | httpx.Response


def request_of(index: int = 0, labels=("Yes", "No"), critique_tokens: int = 0, **more) -> Request:
    return Request(
        index,
        (Message("user", f"Good? {index}"),),
        labels,
        "**Reasoning:**",
        "**Result:**",
        critique_tokens,
        **more,
    )


def chat(content: object, end: object = "stop", **fields) -> dict:
    message = {"role": "assistant", "content": content, **fields}
    usage = {"prompt_tokens": 7, "completion_tokens": 3}
    return {"choices": [{"finish_reason": end, "message": message}], "usage": usage}


class Played:
    """Plays a server.

    Args:
        reply: told the body of a POST and how many came before; answers with a body, or a status and a body.
        owner: what ``/models`` says.
        gets: path end -> body, beside ``/models``.
    """

    def __init__(
        self,
        reply: Callable[[dict, int], Reply],
        owner: str = "someone",
        gets: dict[str, Any] | None = None,
    ) -> None:
        self.reply, self.owner, self.gets = reply, owner, gets or {}
        self.bodies: list[dict] = []
        self.seen: list[httpx.Request] = []

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request)
        if request.method == "GET":
            for end, body in self.gets.items():
                if request.url.path.endswith(end):
                    return httpx.Response(200, json=body)
            return httpx.Response(200, json={"data": [{"id": "m", "owned_by": self.owner}]})
        body = json.loads(request.content) | {"path": request.url.path}
        self.bodies.append(body)
        answer = self.reply(body, len(self.bodies) - 1)
        if isinstance(answer, httpx.Response):
            return answer
        status, said = answer if isinstance(answer, tuple) else (200, answer)
        # Not httpx's own JSON: it refuses NaN and half a character, which servers send.
        return httpx.Response(status, content=json.dumps(said).encode())

    def engine(self, url: str = URL, **options) -> OpenAIEngine:
        options = {"retries": 2, "backoff_s": 0.001, "timeout_s": 5.0, **options}
        return OpenAIEngine("m", url, transport=httpx.MockTransport(self), **options)

    def systemone(self, url: str = "http://127.0.0.1:9", **options) -> SystemOneEngine:
        """The server as one of the System One API."""
        options = {"retries": 2, "backoff_s": 0.001, "timeout_s": 5.0, **options}
        return SystemOneEngine("m", url, transport=httpx.MockTransport(self), **options)

    def ask(self, *requests: Request, **options) -> list[Completion]:
        """Completions in the order of the requests."""
        engine = self.engine(**options)
        try:
            return sorted(engine.run(requests or [request_of()]), key=lambda done: done.index)
        finally:
            engine.close()


def error(message: str, **fields) -> dict:
    return {"error": {"message": message, **fields}}
