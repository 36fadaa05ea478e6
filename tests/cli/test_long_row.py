"""What stands beside the bar while one row takes long."""

from __future__ import annotations

import time
from io import StringIO
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from mene.cli import plain_progress
from mene.cli.console import progress_bar, spinner, words
from mene.cli.long_row import PATIENCE, LongRow, reading_said
from mene.cli.plain_progress import megabytes
from mene.engines.base import Reading


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


@pytest.fixture
def log(monkeypatch) -> StringIO:
    monkeypatch.setattr(plain_progress, "EVERY", 0.01)
    return StringIO()


def until(log: StringIO, said: str) -> None:
    end = time.monotonic() + 60
    while said not in log.getvalue():
        assert time.monotonic() < end, log.getvalue()
        time.sleep(0.005)


def test_without_a_terminal_a_long_run_says_plain_lines(log) -> None:
    reading: list[Any] = []
    console = Console(file=log, width=40)
    stuck = lambda: reading_said([SimpleNamespace(reading=found) for found in reading])  # type: ignore[list-item]  # noqa: E731
    with progress_bar(spinner(), words(), console=console, stuck=stuck) as bar:
        task = bar.add_task("faithfulness", total=1340, rate="")
        until(log, "faithfulness: 0 of 1,340 in 0:00:00\n")
        reading.append(Reading(4096, 20_000))
        until(log, "faithfulness: 0 of 1,340 in 0:00:00, reading 4,096 of 20,000 tokens\n")
        bar.update(task, advance=2)
        until(log, "faithfulness: 2 of 1,340 in")
        reasons = bar.add_task("  reasons", total=None)
        until(log, "\nreasons: 0 in")
        bar.update(task, completed=1340)
        bar.update(reasons, total=1, completed=1)
        size = None
        while size != len(log.getvalue()):  # nothing goes on any more
            size = len(log.getvalue())
            time.sleep(0.1)
    said = log.getvalue()
    assert "\x1b" not in said
    assert all(line.count(": ") == 1 for line in said.splitlines())
    time.sleep(0.1)
    assert log.getvalue() == said


def test_a_quiet_run_and_a_short_one_say_nothing(log, monkeypatch) -> None:
    for hidden, every in ((True, 0.01), (False, 30.0)):
        monkeypatch.setattr(plain_progress, "EVERY", every)
        with progress_bar(words(), console=Console(file=log), hidden=hidden) as bar:
            bar.add_task("rows", total=2)
            time.sleep(0.05)
    assert log.getvalue() == ""


def test_a_line_on_a_download_is_in_megabytes(log) -> None:
    with progress_bar(console=Console(file=log), amount=megabytes) as bar:
        bar.add_task("Downloading base", total=1_117_320_768, completed=3_000_000)
        until(log, "Downloading base: 3 of 1,117 MB in 0:00:00\n")
