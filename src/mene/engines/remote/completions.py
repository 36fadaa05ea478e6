"""Chat completions of a server, without the parameters that it has refused before."""

from __future__ import annotations

from typing import Any

from mene.engines.base import Completion, Request
from mene.engines.remote.answer import Answer, read_answer
from mene.engines.remote.explain_fault import WITHHELD_ADVICE
from mene.engines.remote.faults import Fault
from mene.engines.remote.server import Server
from mene.errors import EngineError

# Parameters that some servers refuse; omitted once refused.
OPTIONAL = (
    "top_logprobs",
    "logprobs",
    "seed",
    "temperature",
    "max_tokens",
    "max_completion_tokens",
)


class Chat:
    """A model behind a server's chat API.

    Attributes:
        name: the server's, for messages.
        thinks: an answer has shown that the model needs room to reason.
    """

    def __init__(self, server: Server, model: str) -> None:
        self.name = server.name
        self.thinks = False
        self._server = server
        self._model = model
        self._refused: set[str] = set()

    async def complete(
        self,
        messages: list[dict[str, str]],
        request: Request,
        done: Completion,
        extra: dict[str, Any] | None = None,
        **options: Any,
    ) -> Answer:
        """Return one chat completion, requested without the parameters that the server has refused before.

        Raises:
            EngineError: the model or a filter refused to answer.
        """
        while True:
            sent = {k: v for k, v in options.items() if k not in self._refused}
            if "max_tokens" in self._refused and "max_completion_tokens" not in self._refused:
                sent["max_completion_tokens"] = options["max_tokens"]
            body = {"model": self._model, "messages": messages, **sent, **(extra or {})}
            try:
                answer = await self._server.post("/chat/completions", body)
                break
            except Fault as fault:
                refused = fault.refuses(o for o in OPTIONAL if o in sent)
                if refused is None:
                    raise
                self._refused |= {refused, "top_logprobs"} if refused == "logprobs" else {refused}
        for name in ("temperature", "seed"):
            note = f"the server takes no {name}"
            if name in options and name not in sent and note not in done.notes:
                done.notes.append(note)
        read = read_answer(answer, request.opening + request.cue)
        self._server.answered()
        done.usage += read.usage
        if read.withheld:
            raise EngineError(
                f"{self.name} withheld the answer ({read.withheld}); {WITHHELD_ADVICE}"
            )
        return read
