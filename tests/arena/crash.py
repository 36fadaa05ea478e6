"""Many voters at once, and the server killed in the middle of it: is every vote that was answered there, once?

    python -m tests.arena.crash --database arena.db --voters 50 --votes 4
    python -m tests.arena.crash --database postgresql://user@host/name

Starts an arena whose judges answer at once (no model), lets the voters vote, kills the server with SIGKILL once a third of the
votes were answered, starts it again, and compares what the voters were told with what the database holds. A voter who got no
answer asks again, as the page does.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import signal
import socket
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.arena.fought import ASKED, events_of

CHOICES = ("a", "b", "tie", "both_bad")
LOST = (httpx.TransportError, httpx.StreamError)
ROOT = Path(__file__).parents[2]


@dataclass
class Told:
    """What the voters know.

    Attributes:
        votes: battle -> the choice that was answered with 200.
        tries, broken: votes and battles that got no answer, and were tried again.
    """

    votes: dict[str, str] = field(default_factory=dict)
    tries: int = 0
    broken: int = 0


def start(database: str, port: int) -> subprocess.Popen[bytes]:
    """A server in a process of its own."""
    command = [
        sys.executable,
        "-m",
        "tests.arena.crash",
        "--serve",
        str(port),
        "--database",
        database,
    ]
    return subprocess.Popen(command, cwd=ROOT)


def serve(database: str, port: int) -> None:
    """The server's side."""
    import uvicorn

    from mene.arena.app import build_app
    from tests.arena.fought import NAMES, arena_of
    from tests.serve.served import PlayedEngine

    arena = arena_of(database, {name: PlayedEngine() for name in NAMES})
    uvicorn.run(build_app(arena), port=port, log_level="error")


async def until_up(url: str) -> None:
    """Wait for the server."""
    async with httpx.AsyncClient() as client:
        for _ in range(2400):
            with suppress(httpx.HTTPError):
                if (await client.get(f"{url}/healthz")).status_code == 200:
                    return
            await asyncio.sleep(0.05)
    raise SystemExit("the server did not come up")


async def voter(url: str, number: int, votes: int, told: Told) -> None:
    """One voter: battle, vote, and again; what breaks off is tried again."""
    draw = random.Random(number)
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        version = (await client.get("/api/arena")).json()["terms"]["version"]
        await client.post("/api/terms", json={"version": version})
        for _ in range(votes):
            battle = await _battle(client, told)
            choice = draw.choice(CHOICES)
            while True:
                try:
                    answer = await client.post(
                        f"/api/battles/{battle}/vote", json={"choice": choice}
                    )
                except LOST:
                    told.tries += 1
                    await asyncio.sleep(0.1)
                    continue
                assert answer.status_code == 200, answer.text
                told.votes[battle] = choice
                break


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
    """The voters' side, with a kill in between."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url, told = f"http://127.0.0.1:{port}", Told()
    server = start(database, port)
    try:
        await until_up(url)
        going = [asyncio.create_task(voter(url, n, votes, told)) for n in range(voters)]
        while len(told.votes) < voters * votes // 3:
            await asyncio.sleep(0.005)
            for one in going:
                if one.done() and one.exception():
                    one.result()
        server.send_signal(signal.SIGKILL)
        server.wait()
        server = start(database, port)
        await asyncio.gather(*going)
    finally:
        server.terminate()
        server.wait()
    return told


def lost_or_doubled(database: str, told: Told) -> list[str]:
    """What the database holds otherwise than the voters were told; empty: nothing."""
    from mene.arena.store import Store

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
    given = parser.parse_args()
    if given.serve:
        serve(given.database, given.serve)
        return 0
    told = asyncio.run(attempt(given.database, given.voters, given.votes))
    wrong = lost_or_doubled(given.database, told)
    print(
        f"{given.voters} voters, {len(told.votes)} votes answered, {told.tries} votes and {told.broken} battles broken off "
        f"by the kill, {len(wrong)} lost or doubled"
    )
    print("\n".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
