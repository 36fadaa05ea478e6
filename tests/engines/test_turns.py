"""Whose turn it is, among threads."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from mene.engines.llamacpp.turns import Turn, Turns


def wanted() -> bool:
    return False


def taken(turns: Turns, room: int) -> Turn:
    turn = turns.take(room, wanted)
    assert turn is not None
    return turn


def queued(turns: Turns, number: int) -> None:
    """Wait until so many wait."""
    while len(turns._waiting) < number:
        time.sleep(0.001)


def test_who_takes_all_is_alone_and_others_share() -> None:
    turns = Turns(slots=3, room=100)
    under_way: list[int] = []
    most: dict[int, int] = {}

    def work(room: int) -> None:
        turn = taken(turns, room)
        under_way.append(turn.slot)
        time.sleep(0.01)
        most[room] = max(most.get(room, 0), len(under_way))
        assert len(set(under_way)) == len(under_way)
        under_way.remove(turn.slot)
        turns.give_back(turn)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, [100, 30, 30, 30, 30, 100, 30, 30] * 4))
    assert most[100] == 1
    assert 1 < most[30] <= 3


def test_turns_come_in_the_order_in_which_they_were_asked_for() -> None:
    turns = Turns(slots=4, room=10)
    first = taken(turns, 6)
    order: list[int] = []

    def work(room: int) -> None:
        turn = taken(turns, room)
        order.append(room)
        turns.give_back(turn)

    threads = []
    for room in (9, 3, 2):  # 3 and 2 would fit beside the first, but 9 came before them
        threads.append(threading.Thread(target=work, args=(room,)))
        threads[-1].start()
        queued(turns, len(threads))
    assert not order
    turns.give_back(first)
    for thread in threads:
        thread.join(60)
    assert order[0] == 9
    assert turns.take(10, wanted) == Turn(slot=0, room=10, alone=True)


def test_who_gives_up_lets_the_next_one_pass() -> None:
    turns = Turns(slots=2, room=10)
    first = taken(turns, 6)
    stopped = threading.Event()
    got: list[object] = []
    waiting = threading.Thread(target=lambda: got.append(turns.take(10, stopped.is_set)))
    waiting.start()
    queued(turns, 1)
    behind = threading.Thread(target=lambda: got.append(turns.take(4, wanted)))
    behind.start()
    queued(turns, 2)
    stopped.set()
    turns.wake()
    waiting.join(60)
    behind.join(60)
    assert None in got
    assert Turn(slot=1, room=4, alone=False) in got
    assert first.alone
