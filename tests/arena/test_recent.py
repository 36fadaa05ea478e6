"""A value that takes long: nobody waits for a new one while there is an old one."""

from __future__ import annotations

import asyncio

import pytest

from mene.arena import recent as recent_value
from mene.arena.recent import SHARE, Recent


def test_the_last_value_is_told_while_one_task_makes_the_next(monkeypatch) -> None:
    monkeypatch.setattr(recent_value, "PATIENCE_S", 0.01)

    async def test() -> None:
        may, made = asyncio.Event(), 0

        async def make() -> int:
            nonlocal made
            await may.wait()
            made += 1
            return made

        recent = Recent(make)
        first = [asyncio.create_task(recent.get()) for _ in range(3)]
        await asyncio.sleep(0)
        first[0].cancel()  # who leaves takes nothing from the others
        await asyncio.sleep(0)
        may.set()
        assert await first[1] == await first[2] == 1
        may.clear()
        recent._until = 0.0  # it is old
        assert [await recent.get() for _ in range(3)] == [1, 1, 1] and recent._work
        may.set()
        await recent._work
        assert await recent.get() == 2 and made == 2
        recent._until = 0.0
        monkeypatch.setattr(recent_value, "PATIENCE_S", 10)
        assert (
            await recent.get() == 3
        )  # one that is made soon is waited for: no old board after a quiet night

    asyncio.run(test())


def test_it_may_be_the_older_the_longer_it_took() -> None:
    async def test() -> None:
        async def make() -> float:
            began = asyncio.get_running_loop().time()
            await asyncio.sleep(0.02)
            return began

        recent = Recent(make)
        began = await recent.get()
        assert recent._until - began >= 0.02 / SHARE

    asyncio.run(test())


def test_a_failure_is_told_to_those_who_wait_and_tried_again() -> None:
    async def test() -> None:
        errors = [ValueError("no disk")]

        async def make() -> int:
            if errors:
                raise errors.pop()
            return 7

        recent = Recent(make)
        with pytest.raises(ValueError, match="no disk"):
            await recent.get()
        assert await recent.get() == 7
        errors.append(ValueError("no disk"))
        recent._until = 0.0
        assert await recent.get() == 7  # the last value outlives it
        await asyncio.wait([recent._work]) if recent._work else None
        assert await recent.get() == 7

    asyncio.run(test())
