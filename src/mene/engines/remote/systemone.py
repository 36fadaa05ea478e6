"""Any server that speaks the System One API: typed questions, and a probability for every option.

The template `systemone` writes the request: the row's fields as the state, the criterion as one question. The server gives
no reasons. It can answer several questions at once, but each request has one, since a row must fail alone.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable
from typing import Unpack

from mene.engines.base import Completion, Request, best
from mene.engines.remote.api import SYSTEM_ONE
from mene.engines.remote.decision import read_decision, read_request
from mene.engines.remote.server import Server, Settings
from mene.errors import UsageError
from mene.text.control_tokens import CONTROL_TOKENS


class SystemOneEngine:
    """Judges through a System One server.

    Args:
        model: the model's name there.
        url: base URL, with ``/v1`` or without; default TYPESAFE_BASE_URL or the publisher's own.
        settings: see ``Server``; the key is by default TYPESAFE_API_KEY, if it is for this host (``wire.py``).

    Raises:
        UsageError: no URL, or an invalid number.
        ModelError: the publisher's server without a key, or a secret that would go unencrypted to another machine.
    """

    def __init__(
        self,
        model: str,
        url: str | None = None,
        **settings: Unpack[Settings],
    ) -> None:
        self._server = Server(SYSTEM_ONE, model, url, **settings)
        self.model = model
        self.identity = self._server.identity
        self.context: int | None = None
        self.control_tokens = CONTROL_TOKENS

    def run(
        self, requests: Iterable[Request | None], stop: threading.Event | None = None
    ) -> Generator[Completion, None, None]:
        """See ``Engine.run``."""
        return self._server.run(requests, self._judge, self._look, stop)

    async def _look(self) -> None:
        """Check that the server is there. Its list of models is not checked: it may omit aliases, or not exist."""
        await self._server.get("/v1/models", root=True, longest_s=15)

    async def _judge(self, request: Request, done: Completion) -> None:
        if request.critique_tokens or not request.choose:
            raise UsageError(
                "a System One server gives only labels; judge in verdict mode (--mode verdict)"
            )
        body, name = read_request(self.prompt(request), request.labels)
        kind = body["questions"][name]["type"]
        answer = await self._server.post("/v1/systemone", {"model": self.model, **body}, root=True)
        self._server.answered()
        done.probabilities, done.usage = read_decision(answer, name, kind, request.labels)
        done.label = best(done.probabilities)

    def prompt(self, request: Request) -> str:
        """Return what is sent, without the model's name."""
        return "\n\n".join(message.content for message in request.messages)

    def count(self, request: Request) -> int | None:
        """Return None: the server has no route for it."""
        return None

    def close(self) -> None:
        """Abort the requests in progress, which end with a ModelError; close the connections and the thread."""
        self._server.close()
