"""What stands beside the bar while one row takes long."""

from __future__ import annotations

from io import StringIO
from types import SimpleNamespace
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from mene.console import spinner, words
from mene.engines.base import Reading
from mene.long_row import PATIENCE, LongRow


def test_a_long_row_is_told_of_only_when_it_is_long() -> None:
    column, now = LongRow(), 0.0
    engine: Any = SimpleNamespace(reading=None)
    column.engines = [SimpleNamespace(), engine]  # type: ignore[list-item]
    bar = Progress(
        column, get_time=lambda: now, auto_refresh=False, console=Console(file=StringIO())
    )
    task = bar.add_task("judging", total=3, rate="2.0/s")

    def shown(number: TaskID | None = None) -> str:
        return str(column(bar.tasks[task if number is None else number]))

    assert shown() == "2.0/s"
    engine.reading = Reading(0, 20_000)
    assert shown() == "2.0/s"
    now = PATIENCE - 0.1
    assert shown() == "2.0/s"
    now = PATIENCE + 0.1
    engine.reading = Reading(4096, 20_000)
    assert shown() == "reading 4,096 of 20,000 tokens"
    engine.reading = None
    assert shown() == "2.0/s"
    engine.reading = Reading(512, 9_000)
    bar.update(task, advance=1)  # a verdict has come
    assert shown() == "2.0/s"
    now += PATIENCE + 1
    assert shown() == "reading 512 of 9,000 tokens"
    critiques = bar.add_task("reasons", total=2, rate="")  # the newest alone
    shown(critiques)
    now += PATIENCE + 1
    assert (shown(), shown(critiques)) == ("2.0/s", "reading 512 of 9,000 tokens")
    bar.update(critiques, completed=2)
    assert shown(critiques) == ""


def test_it_fits_on_a_line_of_80() -> None:
    column = LongRow()
    column.engines = [SimpleNamespace(reading=Reading(14_096, 20_000))]  # type: ignore[list-item]
    now = 0.0
    out = Console(file=StringIO(), width=80, force_terminal=True, legacy_windows=False)
    columns = (spinner(), words(), BarColumn(), MofNCompleteColumn(), column)
    left = (TimeElapsedColumn(), words("left"), TimeRemainingColumn())
    bar = Progress(*columns, *left, get_time=lambda: now, auto_refresh=False, console=out)
    bar.add_task("faithfulness", total=30, rate="")
    column(bar.tasks[0])
    now = PATIENCE + 1
    with out.capture() as captured:
        out.print(bar.get_renderable())
    assert captured.get().count("\n") == 1
    assert "reading 14,096 of 20,000 tokens" in captured.get()
