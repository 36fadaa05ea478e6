"""uvicorn's protocol with limits on a request's head: httptools reads headers of any length for any time."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST = 65_536  # bytes of a head, not counting the first chunk
HEAD_S = 60.0  # time limit for a head


class Protocol(HttpToolsProtocol):
    """One connection. The response to a head that is too long is 400; if no head arrives, the connection is closed."""

    _in_head = True  # waiting for a head, or reading it
    _bytes = 0  # of the head
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait_no_more()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        self._in_head, self._bytes = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        begun = (
            self._in_head
        )  # before: else the data may be mostly of the body of the request before
        super().data_received(data)
        if not self._in_head:
            self._wait_no_more()
            return
        if begun:
            self._bytes += len(data)
        if self._bytes <= MOST:
            self._wait()
        elif self.cycle is None or self.cycle.response_complete:
            self.send_400_response("The head of the request is too long.")
        else:
            self.transport.close()

    def _wait(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(HEAD_S, self._late)

    def _wait_no_more(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _late(self) -> None:
        self.transport.close()
