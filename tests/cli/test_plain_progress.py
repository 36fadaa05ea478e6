"""What remains of a piece of work, by lines or on a bar."""

from __future__ import annotations

import pytest
from rich.progress import Progress

from mene.cli.plain_progress import time_left


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_of_steps_is_not_taken_for_the_pace() -> None:
    clock = Clock()
    bar = Progress(get_time=clock, disable=True)
    task = bar.add_task("judged", total=120)
    clock.now = 30.0
    for _ in range(12):  # a batch, whose verdicts come at once
        clock.now += 0.001
        bar.advance(task)
    one = bar.tasks[0]
    assert (one.time_remaining or 0) <= 1
    assert time_left(one) == pytest.approx(270, rel=0.01)


def test_what_has_not_begun_has_no_time() -> None:
    bar = Progress(disable=True)
    bar.add_task("judged", total=120)
    bar.add_task("judged", total=None)
    assert [time_left(task) for task in bar.tasks] == [None, None]
