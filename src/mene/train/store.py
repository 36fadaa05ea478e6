"""Copies of a run's checkpoints in a shared folder or an object store, so that a run survives the loss of its machine.

A complete checkpoint is copied with its ``trainer_state.json`` last, so that one without it is recognised as incomplete. The
other files needed to resume (the run's inputs, the reference's log-probabilities, the log) are copied too. A run in an empty
folder starts from the copy.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from filelock import FileLock
from transformers import TrainerCallback

from mene.runs.parts.storage import fetch_file, files_under, joined, remove, send_file

LAST = "trainer_state.json"
BESIDE = ("run.json", "recipe.yaml", "reference.npz", "log.jsonl")
KEPT = 2  # checkpoints kept, as on disk


class Sending(TrainerCallback):
    """Copies each checkpoint as soon as it is written.

    Args:
        output: the run's folder; ``store``: the destination.
    """

    def __init__(self, output: Path, store: str) -> None:
        self.output, self.store = output, store

    def on_save(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """Called by the trainer in every process; only one copies."""
        if state.is_world_process_zero:
            send(self.output, f"checkpoint-{state.global_step}", self.store)


def send(output: Path, checkpoint: str, store: str) -> None:
    """Copy a checkpoint, and remove older ones there.

    Raises:
        UsageError: the store cannot be written.
    """
    for name in BESIDE:
        if (output / name).exists():
            send_file(output / name, joined(store, name))
    folder = output / checkpoint
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    for path in sorted(files, key=lambda path: path.name == LAST):
        send_file(path, joined(store, f"{checkpoint}/{path.relative_to(folder).as_posix()}"))
    there, now = files_under(store), _step(checkpoint) or 0
    # Not later ones, which a run that was taken up again at an earlier step has left.
    steps = sorted({step for name in there if (step := _step(name)) is not None and step <= now})
    for name in there:
        if _step(name) in steps[:-KEPT]:
            remove(joined(store, name))


def bring(output: Path, store: str) -> str | None:
    """Restore the newest complete checkpoint to a folder without a run; return its name, or None if there is none.

    Raises:
        UsageError: the store cannot be read.
    """
    output.mkdir(parents=True, exist_ok=True)
    with FileLock(
        output / ".restoring.lock"
    ):  # one process of a machine restores, the others wait for it
        return _bring(output, store)


def _bring(output: Path, store: str) -> str | None:
    if (output / "run.json").exists():
        return None
    there = files_under(store)
    whole = [
        step for name in there if name.endswith(f"/{LAST}") and (step := _step(name)) is not None
    ]
    if not whole:
        return None
    newest = f"checkpoint-{max(whole)}"
    wanted = [name for name in there if name in BESIDE or name.startswith(f"{newest}/")]
    # The files that mark a run as present come last: an incomplete copy is then repeated.
    for name in sorted(wanted, key=lambda name: (name == "run.json", name.endswith(LAST))):
        target = output / name
        target.parent.mkdir(parents=True, exist_ok=True)
        fetch_file(joined(store, name), target)
    return newest


def _step(name: str) -> int | None:
    """Return the step of the checkpoint that a file belongs to; None if it belongs to none."""
    folder = name.partition("/")[0]
    number = folder.removeprefix("checkpoint-")
    return int(number) if folder != number and number.isdecimal() else None
