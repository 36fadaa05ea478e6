"""A battle in progress: both judges are asked and their verdicts stored; the voter does not learn who they are.

The work is a task of its own, so that a voter who leaves ends it cleanly: the judges are told to stop, and the battle is
stored as
one without a vote.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from typing import Any

from mene.arena.in_step import SEATS, InStep
from mene.arena.state import Arena
from mene.arena.words import LEFT, ArenaError, Battle, SeatName
from mene.errors import EngineError, MeneError, ModelError
from mene.judge.preset import Preset
from mene.serve.desk import Asked, Full
from mene.verdict import Verdict

log = logging.getLogger("mene.serve")
PING_S = 10.0
RETRY_S = 1.0  # maximum seconds between two attempts to get a place in a judge's queue
Event = tuple[str, dict[str, Any]]


def fight(arena: Arena, battle: Battle) -> AsyncGenerator[Event | None]:
    """Start a battle. Yields the events that a voter may see, and None every few seconds without one.

    ``critique`` {a, b}: the next pieces. At the end ``verdicts`` {a, b}, or ``failed`` {message}. The voter's place
    (``Arena.admit``) is released when the battle is over, even if nobody consumed the events.
    """
    events: asyncio.Queue[Event] = asyncio.Queue()
    work = asyncio.create_task(_work(arena, battle, events))
    arena.works.add(work)

    def over(_: object) -> None:
        arena.works.discard(work)
        arena.leave(battle.voter)

    work.add_done_callback(over)
    return _watched(work, events)


async def _watched(
    work: asyncio.Task[None], events: asyncio.Queue[Event]
) -> AsyncGenerator[Event | None]:
    try:
        while True:
            try:
                event = await asyncio.wait_for(events.get(), PING_S)
            except TimeoutError:
                yield None
                continue
            yield event
            if event[0] in ("verdicts", "failed"):
                return
    finally:
        work.cancel()


async def _work(arena: Arena, battle: Battle, events: asyncio.Queue[Event]) -> None:
    tasks: dict[SeatName, asyncio.Task[Verdict]] = {}
    try:
        async with asyncio.timeout(arena.seconds):
            step = InStep()
            for seat in SEATS:
                tasks[seat] = asyncio.create_task(_ask(arena, battle, seat, step, events))
            for done in asyncio.as_completed(tasks.values()):
                await done
        seats = {seat: told(tasks[seat].result()) for seat in SEATS}
        await events.put(("verdicts", seats))
    except TimeoutError:
        names = [
            _judge(battle, seat)
            for seat, task in tasks.items()
            if task.cancelled() or not task.done()
        ]
        for name in names:
            arena.down.failed(name, gone=True)
        await _end(arena, battle, f"no answer within {arena.seconds:g} s: {', '.join(names)}")
        message = f"A judge did not answer within {arena.seconds:g} s."
        await events.put(("failed", {"message": message}))
    except ArenaError as error:  # a full disk, or the voter deleted the battle: no judge's fault
        await _end(arena, battle, str(error))
        await events.put(("failed", {"message": f"The arena could not keep this: {error}."}))
    except MeneError as error:
        await _end(arena, battle, str(error))
        await events.put(("failed", {"message": "A judge could not answer this."}))
    except asyncio.CancelledError:
        await _end(arena, battle, LEFT)
        raise
    except Exception as error:
        log.error("battle %s: %s: %s", battle.id, type(error).__name__, error)
        log.debug("where:", exc_info=error)
        await _end(arena, battle, f"the arena failed: {type(error).__name__}")
        await events.put(
            ("failed", {"message": "The arena itself failed on this; its log says more."})
        )
    finally:
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)


async def _end(arena: Arena, battle: Battle, why: str) -> None:
    log.info("battle %s ended without a vote: %s", battle.id, why)
    try:
        await arena.stored(arena.store.fail, battle.id, why)
    except MeneError as error:
        log.error("battle %s: %s", battle.id, error)


async def _ask(
    arena: Arena, battle: Battle, seat: SeatName, step: InStep, events: asyncio.Queue[Event]
) -> Verdict:
    """Return one judge's verdict, after storing it."""
    name, loop = _judge(battle, seat), asyncio.get_running_loop()

    def pass_on(text: str) -> None:
        if new := step.hear(seat, text):
            events.put_nowait(("critique", {**new}))

    def hear(text: str) -> None:  # called in the engine's thread
        loop.call_soon_threadsafe(pass_on, text)

    preset = arena.serving.judges.presets[name]
    settings: dict[str, Any] = {}
    if arena.critique_tokens is not None and preset.explains:
        settings = {"critique_tokens": arena.critique_tokens, "mode": preset.mode}
    asked = Asked(battle.sample, battle.criterion, settings, explains(preset))
    while True:
        try:
            desk = await arena.serving.judges.desk(name)
            [future] = desk.enter([asked], battle.voter, [hear])
            break
        except Full as error:  # its queue is full, or there is no memory while others work
            await asyncio.sleep(min(error.retry_after_s, RETRY_S))
        except MeneError:
            arena.down.failed(name, gone=True)
            raise
    try:
        verdict = await future
    except MeneError as error:
        if isinstance(error, ModelError | EngineError):  # otherwise the sample is at fault
            arena.down.failed(name, gone=isinstance(error, ModelError))
        raise EngineError(f"{name}: {error}") from None
    arena.down.worked(name)
    await arena.stored(arena.store.finish, battle.id, seat, verdict)
    return verdict


def explains(preset: Preset) -> bool:
    """Return whether to ask a judge for a critique after its verdict, so that every judge that can write gives reasons."""
    return preset.explains and preset.mode == "verdict"


def _judge(battle: Battle, seat: SeatName) -> str:
    return (battle.a if seat == "a" else battle.b).judge


def told(verdict: Verdict) -> dict[str, Any]:
    """Return the part of a verdict shown before the vote. Probabilities, tokens and seconds are left out: they would help to
    tell the
    judges apart.
    """
    critique = (verdict.critique or "").strip()
    return {
        "label": verdict.label,
        "abstained": verdict.abstained,
        "critique": critique or None,
    }
