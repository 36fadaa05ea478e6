"""What training commands share: checks of packages and memory, a bar, a graceful stop, and the log in words."""

from __future__ import annotations

import os
import signal
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TimeElapsedColumn

from mene.cli.console import progress_bar, words
from mene.errors import ModelError, UsageError
from mene.recipe import Recipe
from mene.train.plan.shape import shape_of
from mene.train.plan.tokens import Tokens
from mene.train.processes import processes


def training_bar(console: Console, *, hidden: bool) -> Progress:
    """Return a bar whose tasks have a ``note``."""
    return progress_bar(
        words(),
        BarColumn(20),
        words("{task.completed:,}/{task.total:,}"),
        TimeElapsedColumn(),
        words("{task.fields[note]}"),
        console=console,
        hidden=hidden,
        lines=False,  # the log prints its own lines, with the loss
    )


class Pace:
    """Estimates the remaining time of a training from its log: a continued run does not start at step 0."""

    def __init__(self) -> None:
        self._first: tuple[int, float] | None = None  # step and time of the first line

    def left(self, line: dict[str, Any]) -> float | None:
        """Return the seconds to the end, after this line of the log; None if not known."""
        step, now = line["step"], time.monotonic()
        first, began = self._first = self._first or (step, now)
        if "steps" not in line or step == first:
            return None
        return (line["steps"] - step) * (now - began) / (step - first)


def need_room(recipe: Recipe, device: str | None, tokens: Tokens | None = None) -> None:
    """Refuse a run that is known not to fit into memory, before the work begins.

    Args:
        tokens: what it will read; without them, only weights are counted.
    """
    from mene.train.plan.memory import need_memory

    if recipe.base is None:
        return
    count = processes().total
    sharded = os.environ.get("ACCELERATE_USE_FSDP", "false").casefold() == "true"
    where = device or ("cuda" if _sees_gpu() else "cpu")
    try:
        shape = shape_of(recipe.base)
    except UsageError:
        return  # the base model's size is not known before its download
    need_memory(recipe, shape, tokens, device=where, gpus=count, sharded=sharded)


def _sees_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def check_device(device: str | None) -> None:
    """Check that a device is here.

    Raises:
        UsageError: it is not, or PyTorch knows none of that name.
    """
    if device is None:
        return
    import torch

    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        why = (str(error).splitlines() or ["unknown"])[0]
        raise UsageError(
            f"--device {device}: cannot be used here ({why}); leave it out, or give cpu"
        ) from None


def need_packages() -> None:
    """Check early that the packages are installed; hide their warnings about each other."""
    # PyTorch reads it at its first tensor: large ones are then in huge pages (docs/train.md#on-a-cpu).
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    for name in ("torch", "transformers", "peft", "accelerate"):
        try:
            __import__(name)
        except ImportError:
            raise ModelError(f'{name} is not installed; run: pip install "mene[train]"') from None
    # From one library to another; a user cannot change anything about them.
    warnings.filterwarnings("ignore", category=FutureWarning)


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
        self.console.print("stopping after this step; press Ctrl-C again to stop at once")

    def __exit__(self, *exception: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)


def note(line: dict[str, Any], left: float | None) -> str:
    """Return a line of the log in words; ``left``: seconds to the end, None if not known."""
    ends = "" if left is None else f"  {left / 60:.0f} min left"
    # Steps that read nothing but compared pairs have no reward margin.
    margin = f"margin {line['margin']:+.3f}  " if line.get("dpo") else ""
    return (
        f"loss {line['loss']:.3f}  {margin}preferred {line['preferred']:.0%}  "
        f"{line['tokens_per_second']:,.0f} tokens/s{ends}"
    )
