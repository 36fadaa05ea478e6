"""Judges that are left out for a while."""

from __future__ import annotations

from mene.arena.down import FAILURES, FIRST_S, Down


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_judge_that_is_gone_is_left_out_longer_each_time() -> None:
    clock = Clock()
    down = Down(clock)
    down.failed("base", gone=True)
    assert down.now() == {"base"}
    clock.now = FIRST_S + 1
    assert down.now() == frozenset()
    down.failed("base", gone=True)
    clock.now += FIRST_S + 1
    assert down.now() == {"base"}  # for twice as long
    down.worked("base")
    assert down.now() == frozenset()


def test_one_sample_that_cannot_be_judged_puts_no_judge_out() -> None:
    down = Down(Clock())
    for _ in range(FAILURES - 1):
        down.failed("base", gone=False)
    assert down.now() == frozenset()
    down.failed("base", gone=False)
    assert down.now() == {"base"}
    down.worked("base")
    down.failed("base", gone=False)
    assert down.now() == frozenset()
