"""Voters at once, and a kill -9 in between: ``crash.py``, on each database."""

from __future__ import annotations

import asyncio

import pytest

from tests.arena.crash import attempt, lost_or_doubled


@pytest.mark.posix
def test_no_vote_is_lost_or_doubled_by_a_kill(database) -> None:
    told = asyncio.run(attempt(database, voters=50, votes=1))
    assert len(told.votes) == 50
    assert told.tries + told.broken > 0  # the kill broke something off
    assert lost_or_doubled(database, told) == []
