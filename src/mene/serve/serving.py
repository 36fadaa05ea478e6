"""What all routes share: the judges, the limits, and waiting for verdicts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from starlette.requests import Request

from mene.errors import MeneError
from mene.serve.atla_metrics import Metrics
from mene.serve.desk import Asked, Closing, Full
from mene.serve.door import Limits, Refused, TooSlow, refused
from mene.serve.judges import Judges
from mene.serve.keys import Keys
from mene.serve.metrics import Meter
from mene.verdict import Verdict

LOOK_S = 0.05  # after this time, check whether the client has disconnected


@dataclass
class Serving:
    """One server.

    Attributes:
        keys: valid API keys; None: no key is needed.
        cors: origins of pages that may use the server.
        local: it accepts connections from this machine only.
        log_rows: write bodies to the log.
        ending: it is shutting down.
        metrics: those created by clients of Atla's routes.
    """

    judges: Judges
    meter: Meter
    limits: Limits = field(default_factory=Limits)
    keys: Keys | None = None
    cors: frozenset[str] = frozenset()
    local: bool = True
    log_rows: bool = False
    ending: bool = False
    metrics: Metrics = field(default_factory=Metrics)

    @property
    def ready(self) -> bool:
        """Return whether it accepts requests."""
        return self.judges.ready and not self.ending


def serving_of(request: Request) -> Serving:
    """Return the server of a request."""
    return request.scope["mene.serving"]


def client_of(request: Request) -> str:
    """Return the client's id for fair queueing: a key, else an address (for programs on this machine, the connection)."""
    return request.scope.get("mene.client", "")


def check_count(count: int, limits: Limits) -> None:
    """Check that a request does not exceed the limit of judgements, before any work is done.

    Raises:
        Refused: it does.
    """
    if count > limits.rows:
        raise Refused(
            413,
            f"{count:,} judgements in one request; {limits.rows} may be: ask in several",
            "request_too_large",
        )


async def verdicts(
    request: Request, model: str | None, asked: Sequence[Asked]
) -> list[Verdict | MeneError]:
    """Return a judge's verdicts. If the client disconnects or the time limit passes, its places are freed.

    Returns:
        for each of ``asked`` its verdict (without an error), or the error.

    Raises:
        Refused: there is no such judge, no free place, or a timeout.
    """
    serving = serving_of(request)
    if not asked:
        return []
    try:
        desk = await serving.judges.desk(model)
        futures = desk.enter(asked, client_of(request))
    except MeneError as error:
        raise refused(error) from None
    await settled(request, futures, serving.limits.seconds)
    found: list[Verdict | MeneError] = []
    for future in futures:
        error = future.exception()
        if error is None:
            found.append(future.result())
        elif isinstance(error, MeneError) and not isinstance(error, Full | Closing):
            found.append(error)
        else:
            raise refused(error) if isinstance(error, MeneError) else error
    return found


async def settled(
    request: Request, futures: Sequence[asyncio.Future[Verdict]], seconds: float
) -> None:
    """Wait until all are done.

    Raises:
        Refused: the client disconnected, or the time limit passed; all are then cancelled.
    """
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[str] = loop.create_future()
    left = len(futures)

    def end(how: str) -> None:
        if not ended.done():
            ended.set_result(how)

    def done(_: object) -> None:
        nonlocal left
        left -= 1
        if not left:
            end("")

    for future in futures:
        future.add_done_callback(done)
    gone: asyncio.Task[None] | None = None

    def look() -> None:
        nonlocal gone, timer
        gone = loop.create_task(_gone(request, end))
        timer = loop.call_later(max(seconds - LOOK_S, 0), end, "late")

    # A task per request would cost as much as its answer, and most are answered before it is needed.
    timer = loop.call_later(min(LOOK_S, seconds), look)
    try:
        how = await ended
        if how == "gone":
            raise Refused(499, "the client went away", "value_error")  # never sent
        if how == "late":
            error = TooSlow(f"no answer within {seconds:g} s; ask for less at once")
            raise refused(error)
    finally:
        timer.cancel()
        if gone is not None:
            gone.cancel()
        for future in futures:
            if not future.cancel() and not future.cancelled():
                future.exception()  # mark it as retrieved


async def _gone(request: Request, end: Callable[[str], None]) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    end("gone")
