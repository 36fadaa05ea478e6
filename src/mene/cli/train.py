"""``mene train`` on a terminal."""

from __future__ import annotations

import itertools
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TimeElapsedColumn

from mene.cli.console import Screen, plain, progress_bar, show_json, words
from mene.errors import UsageError
from mene.recipe import Recipe, load_recipe
from mene.train.packages import need_packages
from mene.train.plan.hardware import hardware
from mene.train.plan.shape import shape_of


def train_on_screen(
    spec: str,
    changes: Iterable[str],
    data: Path | None,
    output: Path | None,
    *,
    device: str | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """``mene train``. Returns the exit code: 130 where the run was stopped and can go on."""
    recipe = load_recipe(spec, changes)
    need_packages()
    # Of one library to another; nothing that a user could change.
    warnings.filterwarnings("ignore", category=FutureWarning)
    from mene.train.plot import plot
    from mene.train.run import train

    name = Path(spec).stem
    source, target = data or Path(f"{name}-data"), output or Path(f"{name}-run")
    need_room(recipe, device)
    main = os.environ.get("RANK", "0") == "0"  # of several processes one speaks
    console = Screen(stderr=True, quiet=quiet or not main)
    bar = training_bar(console, hidden=quiet or not main)
    lines: list[dict[str, Any]] = []
    began = time.monotonic()
    with bar, stop_gently(console) as stopping:
        steps: list[TaskID] = []

        def stage(stage_name: str, total: int) -> Callable[[], None]:
            task = bar.add_task(stage_name, total=total, note="")
            tenths = {-(-total * n // 10) for n in range(1, 11)}
            done = itertools.count(1)

            def advance() -> None:
                bar.advance(task)
                # In a log, a line for each tenth: a stage may take an hour.
                if (number := next(done)) in tenths and total > 9 and not console.is_terminal:
                    console.print(f"{stage_name} {number}/{total}")

            return advance

        pace = Pace()

        def report(line: dict[str, Any]) -> None:
            lines.append(line)
            left = pace.left(line)
            if "loss" not in line:
                console.print(_judged(line), soft_wrap=True)
                return
            if not steps:
                steps.append(bar.add_task("training", total=line["steps"], note=""))
            bar.update(steps[0], completed=line["step"], note=note(line, left))
            if not console.is_terminal:
                console.print(f"step {line['step']}/{line['steps']}  {note(line, left)}")

        found = train(
            recipe,
            source,
            target,
            device=device,
            report=report,
            stage=stage,
            stopping=stopping,
        )
    if (
        main and (target / "log.jsonl").exists()
    ):  # one that was stopped before its first step has none
        plot(target)
    if found is None:
        console.print(f"stopped; the same command goes on from what is done in {plain(target)}")
        return 130
    if as_json and main:
        show_json({"run": str(target), "log": lines, "seconds": time.monotonic() - began})
    elif main:
        out = Screen()
        out.print(f"trained  {plain(found)} in {time.monotonic() - began:,.0f} s")
        out.print(f"curves   {plain(target / 'run.html')}")
        out.print(f"next     mene export {plain(target)}")
    return 0


def plan_on_screen(
    spec: str,
    changes: Iterable[str],
    data: Path | None,
    *,
    gpu: str,
    gpus: int,
    rate: float | None,
    as_json: bool,
) -> int:
    """``mene train --plan``. Returns the exit code: 1 where the training would not fit."""
    from mene.curate.pair import read_pairs
    from mene.train.plan.forecast import plan
    from mene.train.plan.table import plan_table, to_dict
    from mene.train.plan.tokens import assume_tokens, estimate_tokens

    recipe = load_recipe(spec, changes)
    if recipe.base is None:
        raise UsageError(
            f"{spec}: names no base, so there is nothing to plan; see recipes/nano.yaml"
        )
    path = (data or Path(f"{Path(spec).stem}-data")) / "train.jsonl"
    if data is not None or path.exists():
        tokens = estimate_tokens(read_pairs(path), recipe)
    else:
        tokens = assume_tokens(recipe)
    found = plan(recipe, shape_of(recipe.base), hardware(gpu, gpus, rate), tokens)
    if as_json:
        show_json(to_dict(found))
    else:
        Screen().print(plan_table(found))
    return 0 if found.fits else 1


def training_bar(console: Console, *, hidden: bool) -> Progress:
    """A bar whose tasks have a ``note``."""
    return progress_bar(
        words(),
        BarColumn(20),
        words("{task.completed:,}/{task.total:,}"),
        TimeElapsedColumn(),
        words("{task.fields[note]}"),
        console=console,
        hidden=hidden,
        lines=False,  # the log has its own, each with the loss
    )


class Pace:
    """How long a training still takes, told from its log: a run that goes on does not start at step 0."""

    def __init__(self) -> None:
        self._first: tuple[int, float] | None = None  # step and time of the first line

    def left(self, line: dict[str, Any]) -> float | None:
        """Seconds to the end, after this line of the log; None where nobody knows."""
        step, now = line["step"], time.monotonic()
        first, began = self._first = self._first or (step, now)
        if "steps" not in line or step == first:
            return None
        return (line["steps"] - step) * (now - began) / (step - first)


def need_room(recipe: Recipe, device: str | None) -> None:
    """Say before any time is spent that the memory will not do, where that is known."""
    from mene.train.plan.memory import need_memory

    if recipe.base is None:
        return
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    sharded = os.environ.get("ACCELERATE_USE_FSDP", "false").casefold() == "true"
    where = device or ("cuda" if _sees_gpu() else "cpu")
    try:
        shape = shape_of(recipe.base)
    except UsageError:
        return  # nothing is known of the base before it is downloaded
    need_memory(recipe, shape, device=where, gpus=processes, sharded=sharded)


def _sees_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


class stop_gently:
    """The first Ctrl-C asks the run to end with a checkpoint; the second ends it at once."""

    def __init__(self, console: Console) -> None:
        self.console, self.asked = console, False

    def __enter__(self) -> Callable[[], bool]:
        self.before = {s: signal.signal(s, self._ask) for s in (signal.SIGINT, signal.SIGTERM)}
        return lambda: self.asked

    def _ask(self, number: int, frame: object) -> None:
        if self.asked:
            sys.exit(130)
        self.asked = True
        self.console.print("stopping after this step; once more to stop at once")

    def __exit__(self, *exception: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)


def note(line: dict[str, Any], left: float | None) -> str:
    """A line of the log in words; ``left``: seconds to the end, None where nobody knows."""
    ends = "" if left is None else f"  {left / 60:.0f} min left"
    # Steps that read nothing but compared pairs have no reward margin.
    margin = f"margin {line['margin']:+.3f}  " if line.get("dpo") else ""
    return (
        f"loss {line['loss']:.3f}  {margin}preferred {line['preferred']:.0%}  "
        f"{line['tokens_per_second']:,.0f} tokens/s{ends}"
    )


def _judged(line: dict[str, Any]) -> str:
    return (
        f"step {line['step']}: development accuracy {line['dev_accuracy']:.1%} "
        f"({line['dev_rows']} rows), ECE {line['dev_ece']:.3f}, log loss {line['dev_log_loss']:.3f}"
    )
