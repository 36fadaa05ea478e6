"""A run's checkpoints in another place: a shared folder or an object store, so that a run goes on when its machine is lost.

Every checkpoint is sent when it is whole, its ``trainer_state.json`` last: a checkpoint without it was cut short, here as there.
What else a run needs to go on (what it was started with, the reference's log-probabilities, the log) goes with it. A run in an
empty folder begins with what it finds there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from mene.runs.parts.storage import fetch_file, files_under, joined, remove, send_file

LAST = "trainer_state.json"
BESIDE = ("run.json", "recipe.yaml", "reference.npz", "log.jsonl")
KEPT = 2  # checkpoints, as on the disk


class Sending(TrainerCallback):
    """Sends a checkpoint as soon as it is written.

    Args:
        output: the run's folder, and ``store`` where its checkpoints go.
    """

    def __init__(self, output: Path, store: str) -> None:
        self.output, self.store = output, store

    def on_save(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """Called by the trainer in every process; one sends."""
        if state.is_world_process_zero:
            send(self.output, f"checkpoint-{state.global_step}", self.store)


def send(output: Path, checkpoint: str, store: str) -> None:
    """Send a checkpoint, and remove older ones there.

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
    there = files_under(store)
    steps = sorted({step for name in there if (step := _step(name)) is not None})
    for name in there:
        step = _step(name)
        if step is not None and step in steps[:-KEPT]:
            remove(joined(store, name))


def bring(output: Path, store: str) -> str | None:
    """Bring the newest whole checkpoint to a folder that holds no run; its name, or None where there is none to bring.

    Raises:
        UsageError: the store cannot be read.
    """
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
    # What says that a run is here comes last: a copy that was cut short is made again.
    for name in sorted(wanted, key=lambda name: (name == "run.json", name.endswith(LAST))):
        target = output / name
        target.parent.mkdir(parents=True, exist_ok=True)
        fetch_file(joined(store, name), target)
    return newest


def _step(name: str) -> int | None:
    """The step of a file's checkpoint; None where it belongs to none."""
    folder = name.partition("/")[0]
    number = folder.removeprefix("checkpoint-")
    return int(number) if folder != number and number.isdecimal() else None
