"""Voters at once, and a kill -9 in between: ``crash.py``, on each database."""

from __future__ import annotations

import asyncio

import pytest

from tests.arena.crash import attempt, lost_or_doubled

VOTERS = 20


@pytest.mark.posix
def test_no_vote_is_lost_or_doubled_by_a_kill(database) -> None:
    told = asyncio.run(attempt(database, VOTERS, votes=1))
    assert len(told.votes) == VOTERS
    assert 0 < told.before < VOTERS
    assert told.tries >= 2 and told.broken >= 1  # what the server held when it was killed
    assert lost_or_doubled(database, told) == []
