"""A training with its progress on the screen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import TaskID

from mene.cli.console import plain
from mene.cli.plain_progress import Tenths
from mene.cli.training import Pace, note, stop_gently, training_bar
from mene.events import Advance, Begin, Event, Warn
from mene.recipe import Recipe


def train_shown(
    recipe: Recipe,
    data: Path,
    target: Path,
    console: Console,
    lines: list[dict[str, Any]],
    *,
    device: str | None,
    store: str | None = None,
) -> Path | None:
    """Train, with a bar; the lines of the log are added to ``lines``. Return None if it was stopped.

    Args:
        device, store: as for ``train.run.train``.
    """
    from mene.train.run import train as train_judge  # loads torch

    bar = training_bar(console, hidden=console.quiet)
    tenths = Tenths(console, "{work} {done}/{total}", least=10)
    tasks: dict[str, TaskID] = {}
    pace = Pace()

    def events(event: Event) -> None:
        match event:
            case Begin(work, total):
                if work in tasks:
                    bar.reset(tasks[work], total=total)
                else:
                    tasks[work] = bar.add_task(work, total=total, note="")
                tenths.begin(work, total or 0)
            case Advance(work, by):
                bar.advance(tasks[work], by)
                tenths.advance(work, by)
            case Warn(text):
                console.print(plain(text), style="yellow", soft_wrap=True)

    def report(line: dict[str, Any]) -> None:
        lines.append(line)
        left = pace.left(line)
        if "loss" not in line:
            console.print(_judged(line), soft_wrap=True)
            return
        if "training" not in tasks:
            tasks["training"] = bar.add_task("training", total=line["steps"], note="")
        bar.update(tasks["training"], completed=line["step"], note=note(line, left))
        if not console.is_terminal:
            console.print(f"step {line['step']}/{line['steps']}  {note(line, left)}")

    with bar, stop_gently(console) as stopping:
        return train_judge(
            recipe,
            data,
            target,
            device=device,
            report=report,
            events=events,
            stopping=stopping,
            store=store,
        )


def _judged(line: dict[str, Any]) -> str:
    return (
        f"step {line['step']}: development accuracy {line['dev_accuracy']:.1%} "
        f"({line['dev_rows']} rows), ECE {line['dev_ece']:.3f}, log loss {line['dev_log_loss']:.3f}"
    )
