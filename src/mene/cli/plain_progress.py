"""Progress without a terminal (in a log, a file, a pipe): occasional plain lines instead of a bar."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from rich.console import Console
from rich.progress import Progress, ProgressColumn, Task
from rich.text import Text

from mene.text.visible import visible

# Seconds between two lines: a short run prints none, and the log of a long one stays readable.
EVERY = 30.0


class PlainProgress(Progress):
    """A bar that is never drawn. Between start and stop, a thread prints the progress of the newest task every ``EVERY`` seconds.

    Args:
        console: prints the lines.
        stuck: returns what to add while no step is done, i.e. the progress within a long row. Empty: not known.
        amount: returns a task's progress in words; by default ``12 of 340``.
    """

    def __init__(
        self,
        *,
        console: Console,
        stuck: Callable[[], str] = lambda: "",
        amount: Callable[[Task], str] | None = None,
        **how: Any,
    ) -> None:
        super().__init__(console=console, disable=True, **how)
        self._stuck, self._amount = stuck, amount or counted
        self._ended = threading.Event()
        self._teller: threading.Thread | None = None
        self._last: tuple[int, float] | None = None  # task and steps done of the last line

    def start(self) -> None:
        """See ``Progress``."""
        if self._teller is None:
            self._ended.clear()
            self._teller = threading.Thread(target=self._tell, name="mene-progress", daemon=True)
            self._teller.start()

    def stop(self) -> None:
        """See ``Progress``. No line is printed after it."""
        self._ended.set()
        if self._teller is not None:
            self._teller.join()
            self._teller = None

    def _tell(self) -> None:
        while not self._ended.wait(EVERY):
            if line := self.line():
                self.console.print(line, markup=False, soft_wrap=True)

    def line(self) -> str:
        """Return the progress of the newest unfinished task; empty if all are done."""
        going = [task for task in self.tasks if task.visible and not task.finished]
        if not going:
            return ""
        task = going[-1]
        now = task.id, task.completed
        moved = self._last != now if self._last else bool(task.completed)
        self._last = now
        parts = [f"{task.description.strip()}: {self._amount(task)} in {_time(task.elapsed)}"]
        if moved and (left := time_left(task)):
            parts.append(f"{_time(left)} left")
        if not moved and (said := self._stuck()):
            parts.append(said)
        return visible(", ".join(parts))


class Tenths:
    """Prints a line for each tenth of a piece of work, which may take an hour; none on a terminal, which has a bar.

    Args:
        console: prints the lines.
        line: format of a line, with ``work``, ``done`` and ``total``.
        least: minimum steps of a piece of work for a line.
    """

    def __init__(self, console: Console, line: str, least: int = 1) -> None:
        self._console, self._line, self._least = console, line, least
        self._going: dict[str, tuple[int, int]] = {}  # work -> steps done, total

    def begin(self, work: str, total: int) -> None:
        """Begin a piece of work."""
        self._going[work] = 0, total

    def advance(self, work: str, by: int) -> None:
        """Count so many steps of it as done."""
        before, total = self._going[work]
        done = before + by
        self._going[work] = done, total
        if self._console.is_terminal or total < self._least:
            return
        if done * 10 // max(total, 1) > before * 10 // max(total, 1):
            self._console.print(self._line.format(work=work, done=done, total=total))


def time_left(task: Task) -> float | None:
    """Return the seconds that the rest takes, by the slower of the last steps and of all; None if that is not known.

    Verdicts come in bursts, at the end of each batch, so that the last steps alone can seem to have taken no time.
    """
    if task.total is None or not task.completed or not task.elapsed:
        return None
    overall = task.elapsed * max(task.total - task.completed, 0) / task.completed
    return max(overall, task.time_remaining or 0.0)


class TimeLeft(ProgressColumn):
    """``time_left`` on a bar."""

    max_refresh = 0.5

    def render(self, task: Task) -> Text:
        """See ``ProgressColumn``."""
        left = time_left(task)
        return Text("-:--:--" if left is None else _time(left), style="progress.remaining")


def counted(task: Task) -> str:
    """Return ``12 of 340``, or ``12`` if the total is not known."""
    of = "" if task.total is None else f" of {task.total:,.0f}"
    return f"{task.completed:,.0f}{of}"


def megabytes(task: Task) -> str:
    """Return ``12 of 340 MB``."""
    of = "" if task.total is None else f" of {task.total / 1e6:,.0f}"
    return f"{task.completed / 1e6:,.0f}{of} MB"


def _time(seconds: float | None) -> str:
    return str(timedelta(seconds=round(seconds or 0)))
