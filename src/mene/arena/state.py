"""The state that all routes of the arena share."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ParamSpec, TypeVar

from starlette.requests import Request

from mene.arena.board import Board, Boards
from mene.arena.down import Down
from mene.arena.price import Price
from mene.arena.recent import Recent
from mene.arena.samples import Samples
from mene.arena.store import Store
from mene.arena.terms import Terms
from mene.arena.visitors import Hourly, address_of, voter_of
from mene.serve.door import Refused
from mene.serve.keys import Keys
from mene.serve.serving import Serving
from mene.stats.ratings import Tally

P = ParamSpec("P")
T = TypeVar("T")
AT_ONCE = 2  # battles of one voter
QUEUED = 30  # leaderboards waiting for computation
NEWCOMERS, BATTLES, BOARDS = 20, 240, 600  # per address and hour


@dataclass
class Arena:
    """One arena.

    Attributes:
        serving: its judges, and access control.
        salt: for the voters' ids.
        admins: keys of moderators; None: no moderation over HTTP.
        seconds: time limit of a battle.
        critique_tokens: maximum tokens of a critique, for all judges; None: each judge's own limit.
        most: maximum number of battles at once.
        secure: browsers connect over TLS.
        facts: judge -> further facts on the leaderboard, such as ``bench``: its agreement with people on benchmarks.
        newcomers, battles, looks: hourly limits per address: on new voters, on battles begun, and on filtered leaderboards
            requested.
        weights: judge -> how much more often than others it is drawn.
        works: tasks of the battles under way.
        fighting: voter -> number of battles under way.
        boards: the leaderboards.
        standing, counts: cached: the leaderboard of all votes, and how often each two judges met.
    """

    serving: Serving
    store: Store
    samples: Samples
    salt: bytes
    terms: Terms = field(default_factory=Terms)
    admins: Keys | None = None
    seconds: float = 120.0
    critique_tokens: int | None = None
    most: int = 64
    secure: bool = False
    facts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    prices: Mapping[str, Price] = field(default_factory=dict)
    newcomers: Hourly = field(default_factory=lambda: Hourly(NEWCOMERS, "new voters"))
    battles: Hourly = field(default_factory=lambda: Hourly(BATTLES, "battles"))
    looks: Hourly = field(default_factory=lambda: Hourly(BOARDS, "leaderboards with filters"))
    weights: Mapping[str, float] = field(default_factory=dict)
    down: Down = field(default_factory=Down)
    works: set[asyncio.Task[None]] = field(default_factory=set)
    fighting: Counter[str] = field(default_factory=Counter)
    boards: Boards = field(init=False)
    standing: Recent[Board] = field(init=False)
    counts: Recent[Tally] = field(init=False)

    def __post_init__(self) -> None:
        self.boards = Boards(self.store)
        self.standing = Recent(lambda: self.computed(self.boards.board))
        self.counts = Recent(lambda: self.computed(self.boards.counts, self.judges))
        # Leaderboards have their own thread: one of many votes takes long, and ``stored`` has few threads.
        self._computing = ThreadPoolExecutor(1, "boards")
        self._queued = 0

    @property
    def judges(self) -> list[str]:
        """Return the names of the judges."""
        return list(self.serving.judges.presets)

    async def stored(self, call: Callable[P, T], *given: P.args, **more: P.kwargs) -> T:
        """Call the store in a thread, since it waits for the disk. Return its result."""
        return await asyncio.to_thread(call, *given, **more)

    async def computed(self, call: Callable[P, T], *given: P.args, **more: P.kwargs) -> T:
        """Run a computation over all votes; one at a time, in one thread. Return its result.

        Raises:
            Refused: too many are waiting.
        """
        if self._queued >= QUEUED:
            message = "too many leaderboards are being computed; try again in a few seconds"
            raise Refused(503, message, "overloaded_error", headers={"retry-after": "5"})
        self._queued += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._computing, partial(call, *given, **more))
        finally:
            self._queued -= 1

    def close(self) -> None:
        """Stop the thread that computes."""
        self._computing.shutdown(cancel_futures=True)

    def admit(self, request: Request) -> str:
        """Return the voter, after a place for a new battle was reserved.

        Raises:
            Refused: the visitor has not agreed to the terms, or too many battles are under way or were begun.
        """
        voter = voter_of(request, self.salt)
        wait = {"retry-after": "5"}
        if self.fighting[voter] >= AT_ONCE:
            message = f"{AT_ONCE} battles of yours are under way; let one end first"
            raise Refused(429, message, "rate_limit_error", headers=wait)
        if self.fighting.total() >= self.most:
            message = f"{self.most} battles are under way; try again in a few seconds"
            raise Refused(429, message, "rate_limit_error", headers=wait)
        self.battles.count(address_of(request))
        self.fighting[voter] += 1
        return voter

    def leave(self, voter: str) -> None:
        """Free the place of a battle."""
        self.fighting[voter] -= 1
        if self.fighting[voter] <= 0:
            del self.fighting[voter]


def arena_of(request: Request) -> Arena:
    """Return the arena of a request."""
    return request.app.state.arena
