"""Copies of a run's checkpoints in a shared folder or an object store, so that a run survives the loss of its machine.

A complete checkpoint is copied with its ``trainer_state.json`` last, so that one without it is recognised as incomplete. The
other files needed to resume (the run's inputs, the reference's log-probabilities, the log) are copied too. A run goes on from
the copy where it is newer than what the folder has: of several machines, only the first has checkpoints of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from transformers import TrainerCallback

from mene.errors import UsageError
from mene.runs.parts.storage import fetch_file, files_under, joined, remove, send_file
from mene.train.processes import processes

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
    """Restore the newest complete checkpoint to a folder that has none as new; return its name, or None if there is none.

    Of several processes of a machine one restores it, and the others wait.

    Raises:
        UsageError: the store cannot be read.
    """
    with one_process(output):
        return _bring(output, store)


def _bring(output: Path, store: str) -> str | None:
    there = files_under(store)
    whole = [one for one in there if one.endswith(f"/{LAST}")]
    newest = max((step for one in whole if (step := _step(one)) is not None), default=None)
    here = last_checkpoint(output)
    if newest is None or (here is not None and (_step(here.name) or 0) >= newest):
        return None
    name = f"checkpoint-{newest}"
    wanted = [one for one in there if one in BESIDE or one.startswith(f"{name}/")]
    # What makes the checkpoint complete comes last: an incomplete copy is then repeated.
    for one in sorted(wanted, key=lambda one: one == f"{name}/{LAST}"):
        target = output / one
        target.parent.mkdir(parents=True, exist_ok=True)
        fetch_file(joined(store, one), target)
    return name


def last_checkpoint(output: Path) -> Path | None:
    """Return the newest complete checkpoint; an incomplete one lacks its state, which is written last."""
    found = sorted(output.glob("checkpoint-*"), key=lambda p: int(p.name.rpartition("-")[2]))
    for folder in reversed(found):
        try:
            json.loads((folder / "trainer_state.json").read_text("utf-8"))
        except (OSError, ValueError):
            continue
        return folder
    return None


def one_process(output: Path) -> AbstractContextManager[None]:
    """Do something in a run's folder in one process of this machine at a time, while the others wait.

    Raises:
        UsageError: the folder cannot be written.
    """
    return _locked(output, ".lock", -1)


@contextmanager
def one_training(output: Path) -> Iterator[None]:
    """Keep other trainings out of a run's folder. Of several processes of one training, the first holds it.

    Raises:
        UsageError: another training holds it, or it cannot be written.
    """
    if processes().number:
        yield
        return
    with _locked(output, ".running", 0):
        yield


@contextmanager
def _locked(output: Path, name: str, patience: float) -> Iterator[None]:
    """Hold a lock in a run's folder; ``patience`` is in seconds, negative without end."""
    try:
        output.mkdir(parents=True, exist_ok=True)
        lock = FileLock(output / name)
        lock.acquire(timeout=patience)
    except Timeout:
        raise UsageError(
            f"{output}: another training is writing here; wait for its end or stop it, or give another --output"
        ) from None
    except OSError as error:
        raise unwritable(output, error) from None
    try:
        yield
    finally:
        lock.release()


def unwritable(output: Path, error: OSError) -> UsageError:
    """Return what to say of a run's folder that cannot be written."""
    return UsageError(f"{output}: cannot write here: {error.strerror}; use --output")


def _step(name: str) -> int | None:
    """Return the step of the checkpoint that a file belongs to; None if it belongs to none."""
    folder = name.partition("/")[0]
    number = folder.removeprefix("checkpoint-")
    return int(number) if folder != number and number.isdecimal() else None
