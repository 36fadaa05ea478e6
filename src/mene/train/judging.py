"""Callbacks between training steps: evaluation on the development rows, the log, stopping on request."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from mene.events import Events, begin_work
from mene.train.evaluate import figures, label_probabilities, write_judged
from mene.train.examples import Pack
from mene.train.forward import Model, Read

Report = Callable[[dict[str, Any]], None]


class Stopped(Exception):
    """Raised where a run is stopped in an evaluation, which may take minutes."""


class Judging(TrainerCallback):
    """Evaluates on the development rows at intervals, writes the log, and stops the training on request.

    Args:
        packs: the development rows; without any there are no evaluations.
        every: steps between evaluations; there is always one at the beginning and one at the end.
        report, stopping, read, events: as for ``JointTrainer``.

    Raises:
        Stopped: from ``on_train_begin``, in the first evaluation; nothing is trained then.
    """

    def __init__(
        self,
        packs: list[Pack],
        every: int,
        report: Report,
        stopping: Callable[[], bool],
        read: Read,
        events: Events,
    ) -> None:
        self.packs, self.every, self.report, self.stopping = packs, every, report, stopping
        self.read, self.events = read, events

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        if logs and "loss" in logs:
            self._write(args, state, logs)

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if state.is_world_process_zero:
            _forget_after(_log_of(args), state.global_step or -1)
        if state.global_step == 0:
            self._judge(args, state, kwargs["model"])

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if self.stopping():
            control.should_save = control.should_training_stop = True
            return
        near_end = state.max_steps - state.global_step < self.every
        if state.global_step == state.max_steps or (
            state.global_step % self.every == 0 and not near_end
        ):
            try:
                self._judge(args, state, kwargs["model"])
            except Stopped:
                control.should_save = control.should_training_stop = True

    def _judge(self, args: TrainingArguments, state: TrainerState, model: Model) -> None:
        if not self.packs:
            return
        with torch.autocast(args.device.type, torch.bfloat16, enabled=args.bf16):
            packs = self._packs(last=state.global_step == state.max_steps)
            judged = label_probabilities(model, packs, self.read)
        if state.global_step == state.max_steps and state.is_world_process_zero:
            write_judged(judged, _log_of(args).with_name("development.jsonl"))
        found = figures(judged)
        self._write(args, state, {f"dev_{name}": value for name, value in found.items()})

    def _packs(self, *, last: bool) -> Iterator[Pack]:
        """Yield the development rows, with progress. The last evaluation is not stopped: the result needs its figures."""
        step = begin_work(self.events, "judging", len(self.packs))
        for pack in self.packs:
            if not last and self.stopping():
                raise Stopped
            yield pack
            step()

    def _write(
        self, args: TrainingArguments, state: TrainerState, values: dict[str, float]
    ) -> None:
        if not state.is_world_process_zero:
            return
        line = {"step": state.global_step, **values}
        with _log_of(args).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        self.report(line)


def _log_of(args: TrainingArguments) -> Path:
    return Path(args.output_dir or "") / "log.jsonl"


def _forget_after(log: Path, step: int) -> None:
    """Remove the log's lines after the checkpoint that a run resumes from, and an incomplete last line."""
    kept = []
    for text in log.read_text("utf-8").splitlines() if log.exists() else ():
        try:
            if json.loads(text)["step"] <= step:
                kept.append(text + "\n")
        except ValueError:
            continue
    log.write_text("".join(kept), "utf-8")
