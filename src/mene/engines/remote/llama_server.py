"""A llama-server, whose own API (beside ``/v1``) supports the exact steps of the embedded engine."""

from __future__ import annotations

from typing import Any

from mene.engines.base import Completion, LabelKey, Request
from mene.engines.labels import LabelPaths, label_paths, label_texts
from mene.engines.remote.faults import Fault
from mene.engines.remote.server import Server
from mene.engines.steps import RESERVE, judgement, overflow
from mene.errors import EngineError
from mene.text.thought import closed

LOOK_S = 15  # seconds to wait for information about the server


class LlamaServer:
    """A llama-server's own API.

    Attributes:
        context: maximum number of tokens of prompt and answer; None before ``look``.
    """

    def __init__(self, server: Server, model: str) -> None:
        self.context: int | None = None
        self._server = server
        self._model = model
        self._paths: dict[LabelKey, LabelPaths] = {}

    async def look(self) -> bool:
        """Return whether the server supports the exact steps. Routers, proxies and builds before 2025 do not.

        Raises:
            Fault, httpx.HTTPError, one of ``MALFORMED``: it does not, or did not answer.
        """
        props = await self._server.get("/props", root=True, longest_s=LOOK_S)
        context = int(props["default_generation_settings"]["n_ctx"])
        messages = [{"role": "user", "content": "Hello"}]
        prompt = (await self._post("/apply-template", {"messages": messages}))["prompt"]
        if context <= 0 or not isinstance(prompt, str) or not await self.tokenize("Hello"):
            return False
        self.context = context
        return True

    async def judge(self, request: Request, done: Completion) -> None:
        """Fill ``done`` with the steps of the embedded engine."""
        text = await self.template(request)
        key = request.label_key
        if key not in self._paths:
            whole = {text: await self.tokenize(text) for text in label_texts(*key)}
            try:
                self._paths[key] = label_paths(whole.__getitem__, *key)
            except ValueError as error:
                raise EngineError(f"{error}; name them differently") from None
        room = request.critique_tokens
        if room and self.context and len(text.encode()) + room + RESERVE > self.context:
            length = len(await self.tokenize(text, special=True))
            if length + RESERVE >= self.context:
                raise overflow(length, self.context)
            room = min(room, self.context - length - RESERVE)
        steps = judgement(request, text, self._paths[key], room, done)
        body = next(steps)
        try:
            while True:
                body = steps.send(
                    await self._post("/v1/completions", {"model": self._model, **body})
                )
        except StopIteration:
            return

    async def template(self, request: Request) -> str:
        """Return the text that the model reads."""
        messages = [m._asdict() for m in request.messages]
        text = closed((await self._post("/apply-template", {"messages": messages}))["prompt"])
        return text + request.opening if request.critique_tokens else text

    async def tokenize(self, text: str, special: bool = False) -> list[int]:
        """Return token ids; ``special``: as a prompt, with begin-of-text, and control tokens recognised."""
        body = {"content": text, "add_special": special, "parse_special": special}
        return [int(token) for token in (await self._post("/tokenize", body))["tokens"]]

    async def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Call llama-server's own API, outside ``/v1``."""
        try:
            answer: Any = await self._server.post(path, body, root=True)
        except Fault as fault:
            if path == "/v1/completions" and fault.status == 400 and isinstance(fault.body, dict):
                return fault.body  # the steps handle errors
            raise
        if not isinstance(answer, dict):
            raise EngineError(f"{self._server.name}: {path} sent no JSON; is it a llama-server?")
        self._server.answered()
        return answer
