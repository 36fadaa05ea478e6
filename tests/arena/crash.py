"""Many voters at once, and the server killed in the middle of it: is every vote that was answered there, once?

    python -m tests.arena.crash --database arena.db --voters 50 --votes 4
    python -m tests.arena.crash --database postgresql://user@host/name

Starts an arena whose judges answer at once (no model), lets the voters vote, kills the server with SIGKILL, starts another one on
the same database, and compares what the voters were told with what the database holds. A voter who got no answer asks again, as
the page does.

Where the kill falls is not left to chance: the server holds one vote before it is kept, one that is kept and not yet answered,
and one verdict (``Holding``). It is killed once it holds all three, while the other voters go on.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import httpx
import uvicorn

from mene.arena.app import build_app
from mene.arena.state import Arena
from mene.arena.store import Limits, Store
from mene.arena.words import SeatName, Vote
from mene.verdict import Verdict
from tests.arena.fought import ASKED, NAMES, arena_of, events_of, running
from tests.serve.served import PlayedEngine

CHOICES = ("a", "b", "tie", "both_bad")
LOST = (httpx.TransportError, httpx.StreamError)
ROOT = Path(__file__).parents[2]
UNTIL_S = 120.0  # the server is up, and holds all three


@dataclass
class Told:
    """What the voters know.

    Attributes:
        votes: battle -> the choice that was answered with 200.
        tries, broken: votes and battles that got no answer, and were tried again.
        before: votes that were answered before the kill.
    """

    votes: dict[str, str] = field(default_factory=dict)
    tries: int = 0
    broken: int = 0
    before: int = 0


class Holding(Store):
    """A store that falls silent in the middle of things, and prints ``held`` once it holds all three.

    Args:
        first: votes that are taken as always; of the next two, one waits before it is kept and one behind that. The verdict that
            waits is the one of this number, doubled. All others are taken.
    """

    def __init__(self, where: str, first: int) -> None:
        super().__init__(where, Limits(votes=()))
        self._lock = threading.Lock()
        self._first, self._votes, self._verdicts, self._held = first, 0, 0, 0

    def vote(self, vote: Vote) -> None:
        with self._lock:
            self._votes += 1
            place = self._votes - self._first
        if place == 1:
            self._hold()
        super().vote(vote)
        if place == 2:
            self._hold()

    def finish(self, battle: str, seat: SeatName, verdict: Verdict) -> None:
        with self._lock:
            self._verdicts += 1
            waits = self._verdicts == 2 * self._first
        if waits:
            self._hold()
        super().finish(battle, seat, verdict)

    def _hold(self) -> NoReturn:
        with self._lock:
            self._held += 1
            if self._held == 3:
                print("held", flush=True)
        while True:
            threading.Event().wait()


def arena_over(store: Store) -> Arena:
    """An arena whose judges answer at once."""
    return arena_of(store, {name: PlayedEngine() for name in NAMES})


def serve(database: str, port: int, first: int) -> None:
    """The side of the server that is killed."""
    app = build_app(arena_over(Holding(database, first)))
    uvicorn.run(app, port=port, log_level="error")


def start(database: str, port: int, first: int) -> subprocess.Popen[bytes]:
    """It, in a process of its own."""
    given = {"--database": database, "--serve": str(port), "--first": str(first)}
    command = [
        sys.executable,
        "-m",
        "tests.arena.crash",
        *(x for pair in given.items() for x in pair),
    ]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)


async def until_up(url: str) -> None:
    """Wait for the server."""
    async with httpx.AsyncClient(verify=False) as client:  # without TLS, none of its keys is read
        while True:
            with suppress(httpx.HTTPError):
                if (await client.get(f"{url}/healthz")).status_code == 200:
                    return
            await asyncio.sleep(0.05)


async def until_held(server: subprocess.Popen[bytes]) -> None:
    """Wait until it holds all three."""
    assert server.stdout is not None
    if await asyncio.to_thread(server.stdout.readline) != b"held\n":
        raise SystemExit("the server ended by itself")


async def voter(url: str, number: int, votes: int, told: Told) -> None:
    """One voter: battle, vote, and again; what breaks off is tried again."""
    draw = random.Random(number)
    async with httpx.AsyncClient(base_url=url, timeout=60, verify=False) as client:
        version = (await client.get("/api/arena")).json()["terms"]["version"]
        await client.post("/api/terms", json={"version": version})
        for _ in range(votes):
            battle = await _battle(client, told)
            await _vote(client, battle, draw.choice(CHOICES), told)


async def _vote(client: httpx.AsyncClient, battle: str, choice: str, told: Told) -> None:
    while True:
        try:
            answer = await client.post(f"/api/battles/{battle}/vote", json={"choice": choice})
        except LOST:
            told.tries += 1
            await asyncio.sleep(0.1)
            continue
        assert answer.status_code == 200, answer.text
        told.votes[battle] = choice
        return


async def _battle(client: httpx.AsyncClient, told: Told) -> str:
    while True:
        try:
            answer = await client.post("/api/battles", json=ASKED)
        except LOST:
            told.broken += 1
            await asyncio.sleep(0.1)
            continue
        if answer.status_code == 429:
            await asyncio.sleep(0.2)
            continue
        assert answer.status_code == 200, answer.text
        events = dict(events_of(answer.text))
        if "verdicts" in events:
            return events["battle"]["id"]
        told.broken += 1


async def attempt(database: str, voters: int, votes: int) -> Told:
    """The voters' side, with a kill in between. The second server is in this process: its imports are there."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url, told = f"http://127.0.0.1:{port}", Told()
    server = start(database, port, first=max(1, voters * votes // 4))
    try:
        async with asyncio.timeout(UNTIL_S):
            await until_up(url)
            going = [asyncio.create_task(voter(url, n, votes, told)) for n in range(voters)]
            await until_held(server)
    finally:
        server.send_signal(signal.SIGKILL)
        server.wait()
    told.before = len(told.votes)
    with Store(database, Limits(votes=())) as store, running(arena_over(store), port):
        await asyncio.gather(*going)
    return told


def lost_or_doubled(database: str, told: Told) -> list[str]:
    """What the database holds otherwise than the voters were told; empty: nothing."""
    with Store(database) as store:
        kept = [(vote.battle, vote.choice) for vote in store.votes()]
        ends = Counter(bool(battle.is_finished) for battle in store.battles(voted=True))
    found = [f"doubled: {battle}" for battle, n in Counter(b for b, _ in kept).items() if n > 1]
    known = dict(kept)
    for battle, choice in told.votes.items():
        if known.get(battle) != choice:
            found.append(f"told {choice}, kept {known.get(battle)}: {battle}")
    found += [f"nobody was told: {battle}" for battle in known.keys() - told.votes.keys()]
    if ends[False]:
        found.append(f"{ends[False]} votes on battles without two verdicts")
    return found


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", required=True)
    parser.add_argument("--voters", type=int, default=50)
    parser.add_argument("--votes", type=int, default=4)
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--first", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve(given.database, given.serve, given.first)
        return 0
    told = asyncio.run(attempt(given.database, given.voters, given.votes))
    wrong = lost_or_doubled(given.database, told)
    print(
        f"{given.voters} voters, {len(told.votes)} votes answered, {told.before} of them before the kill; {told.tries} votes and "
        f"{told.broken} battles broken off by it, {len(wrong)} lost or doubled"
    )
    print("\n".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
