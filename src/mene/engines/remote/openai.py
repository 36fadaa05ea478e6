"""Any server that speaks OpenAI's API: vLLM, llama-server, Ollama, OpenAI itself.

This file detects the kind of server, which decides how the label is found:

* llama-server: the exact steps of the embedded engine (``llama_server.py``); tested with a real one;
* vLLM: a constrained choice after a prefilled cue (``by_choice.py``); tested only with a small scripted server, never with a
  running vLLM;
* others, and a llama-server without the needed routes: the answer is parsed strictly, and requested again if it does not end
  in a label (``by_parsing.py``).

``server.py`` handles rate limits and retries, ``answer.py`` and ``prompt.py`` read answers.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Generator, Iterable
from concurrent.futures import Future
from typing import Any, Unpack

import httpx

from mene.engines.base import Completion, Request
from mene.engines.remote.api import OPENAI
from mene.engines.remote.by_choice import judge_by_choice
from mene.engines.remote.by_parsing import judge_by_parsing
from mene.engines.remote.completions import Chat
from mene.engines.remote.faults import MALFORMED, Fault, is_silence, may_pass
from mene.engines.remote.llama_server import LOOK_S, LlamaServer
from mene.engines.remote.server import FAILURES, Server, Settings
from mene.errors import EngineError
from mene.text.control_tokens import CONTROL_TOKENS


class OpenAIEngine:
    """Judges through a server.

    Args:
        model: the model's name there.
        url: base URL up to ``/v1``; default OPENAI_BASE_URL or OpenAI.
        settings: see ``Server``; the key is by default OPENAI_API_KEY, if it is for this host (``wire.py``).

    Raises:
        UsageError: no URL, or an invalid number.
        ModelError: OpenAI without a key, or a secret that would go unencrypted to another machine.
    """

    def __init__(
        self,
        model: str,
        url: str | None = None,
        **settings: Unpack[Settings],
    ) -> None:
        self._server = Server(OPENAI, model, url, **settings)
        self.model = model
        self.concurrency = self._server.concurrency
        self.identity = self._server.identity
        self.context: int | None = None
        self.control_tokens = CONTROL_TOKENS
        self._kind: str | None = None
        self._asking_kind = asyncio.Lock()
        self._chat = Chat(self._server, model)
        self._llama = LlamaServer(self._server, model)

    def run(
        self, requests: Iterable[Request | None], stop: threading.Event | None = None
    ) -> Generator[Completion, None, None]:
        """See ``Engine.run``."""
        return self._server.run(requests, self._judge, self._detect, stop)

    async def _judge(self, request: Request, done: Completion) -> None:
        kind = await self._detect()
        if kind == "llama.cpp":
            await self._llama.judge(request, done)
        elif kind == "vllm":
            await judge_by_choice(self._chat, request, done)
        else:
            await judge_by_parsing(self._chat, request, done)

    async def _detect(self) -> str:
        """Detect once what kind of server it is; unknown if it does not tell.

        If the server cannot be reached, raise, and detect again next time: the method must not depend on whether the server was
        still starting.
        """
        async with self._asking_kind:
            if self._kind is None:
                self._kind = "openai" if self._server.is_home else await self._ask_kind()
            return self._kind

    async def _ask_kind(self) -> str:
        try:
            models = await self._server.get("/models", longest_s=LOOK_S)
            owners = {str(m.get("owned_by", "")).lower() for m in models["data"]}
            if "llamacpp" in owners:
                if not await self._llama.look():
                    return "unknown"
                self.context = self._llama.context
                return "llama.cpp"
            return "vllm" if "vllm" in owners else "unknown"
        except (Fault, httpx.HTTPError, TimeoutError) as error:
            # A server without such a route is unknown. One that is still starting is asked again.
            if may_pass(error) and not is_silence(error):
                raise
            return "unknown"
        except MALFORMED:
            return "unknown"

    def prompt(self, request: Request) -> str:
        """Return what the model reads, where the server tells; else the messages."""
        return self._server.wait(self._prompt(request, count=False))[0]

    def count(self, request: Request) -> int | None:
        """Return the tokens of the prompt; None where the server has no tokeniser route."""
        return self._server.wait(self._prompt(request, count=True))[1]

    async def _prompt(self, request: Request, count: bool) -> tuple[str, int | None]:
        try:
            if await self._detect() == "llama.cpp":
                text = await self._llama.template(request)
                return text, len(await self._llama.tokenize(text, special=True)) if count else None
        except FAILURES as error:
            raise self._server.told(error) from None
        return "\n\n".join(f"[{m.role}]\n{m.content}" for m in request.messages), None

    def chat(self, body: dict[str, Any]) -> Future[dict[str, Any]]:
        """Return the server's reply to a chat request, with ``model`` set to this one. Cancelling the future aborts the
        request.

        Raises:
            MeneError: the reason why there is no reply.
        """
        return self._server.begin(self._answer({**body, "model": self.model}))

    async def _answer(self, sent: dict[str, Any]) -> dict[str, Any]:
        try:
            answer = await self._server.post("/chat/completions", sent)
        except FAILURES as error:
            raise self._server.told(error) from None
        choices = answer.get("choices") if isinstance(answer, dict) else None
        whole = isinstance(choices, list) and all(
            isinstance(one, dict) and isinstance(one.get("message"), dict) for one in choices
        )
        if not isinstance(answer, dict) or not whole:
            raise EngineError(f"{self._server.name} sent no chat completion")
        return answer

    def close(self) -> None:
        """Abort the requests in progress, which end with a ModelError; close the connections and the thread."""
        self._server.close()
