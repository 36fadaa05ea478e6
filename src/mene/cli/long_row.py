"""The progress within a long row, shown beside the bar, which does not move meanwhile."""

from __future__ import annotations

from collections.abc import Sequence

from rich.progress import ProgressColumn, Task
from rich.table import Column
from rich.text import Text

from mene.engines.base import Engine, reading_of

# Seconds without a step of the bar before the progress is shown.
PATIENCE = 5.0


class LongRow(ProgressColumn):
    """Shows a task's rate (``task.fields["rate"]``), and in its place, while one row takes long, ``reading 4,096 of
    20,000 tokens``.

    Attributes:
        engines: those that may be working; the first that reports progress is shown.
    """

    def __init__(self) -> None:
        super().__init__(table_column=Column(no_wrap=True))  # the bar shrinks instead
        self.engines: Sequence[Engine] = ()
        self._moved: dict[int, tuple[float, float]] = {}  # task -> steps done, and since when

    def render(self, task: Task) -> Text:
        """See ``ProgressColumn``."""
        now, done = task.get_time(), task.completed
        if task.id not in self._moved or self._moved[task.id][0] != done:
            self._moved[task.id] = done, now
        rate = Text(task.fields["rate"])
        newest = task.id == max(self._moved)
        if task.finished or not newest or now - self._moved[task.id][1] < PATIENCE:
            return rate
        return Text(said) if (said := reading_said(self.engines)) else rate


def reading_said(engines: Sequence[Engine]) -> str:
    """Return ``reading 4,096 of 20,000 tokens``; empty if no engine reports a long row."""
    found = next(filter(None, map(reading_of, engines)), None)
    return f"reading {found.read:,} of {found.known:,} tokens" if found else ""
