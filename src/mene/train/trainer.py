"""The loop of a training run: a step per few packs, the losses of ``loss.py``, a log, and judging from time to time.

The schedule, checkpoints and processes are those of ``transformers.Trainer``, which is also what TRL's trainers are made of.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, SequentialSampler
from transformers import (
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from mene.errors import MeneError
from mene.recipe import Recipe
from mene.train.evaluate import figures, label_probabilities, write_judged
from mene.train.examples import Pack
from mene.train.forward import Batch, Model, Read, completion_logps, tensors
from mene.train.loss import PairLoss, pair_loss

LOGGED = 5  # steps from one line of the log to the next

Report = Callable[[dict[str, Any]], None]


class JointTrainer(Trainer):
    """Trains a model on packs.

    Args:
        model: with the weights to train, and an adapter or none.
        recipe: its losses and schedule.
        packs: in the order in which they are read.
        references: of each pack, ``completion_logps`` of the model before training. Each of shape (completions,).
        development: packs made with ``all_labels``, judged from time to time.
        output: folder for the log and the checkpoints.
        device: ``cpu`` or ``cuda``.
        report: told of every line of the log.
        stopping: asked after each step; True ends the run with a checkpoint.
        read: what the model reads of a pack.
    """

    def __init__(
        self,
        model: Model,
        recipe: Recipe,
        packs: list[Pack],
        references: list[np.ndarray],
        development: list[Pack],
        output: Path,
        device: str,
        report: Report,
        stopping: Callable[[], bool],
        read: Read = tensors,
    ) -> None:
        settings = recipe.train
        processes = int(os.environ.get("WORLD_SIZE", "1"))
        accumulate = max(1, settings.packs // processes)
        steps = settings.epochs * -(-len(packs) // (accumulate * processes))
        arguments = TrainingArguments(
            output_dir=str(output),
            per_device_train_batch_size=1,
            gradient_accumulation_steps=accumulate,
            num_train_epochs=settings.epochs,
            learning_rate=settings.learning_rate,
            weight_decay=settings.weight_decay,
            lr_scheduler_type="cosine",
            warmup_steps=round(settings.warmup * steps),
            bf16=settings.dtype == "bfloat16",
            use_cpu=device == "cpu",
            logging_steps=LOGGED,
            save_strategy="steps",
            save_steps=settings.checkpoint,
            save_total_limit=2,
            seed=recipe.seed,
            disable_tqdm=True,
            report_to=[],
            remove_unused_columns=False,
        )
        every = max(1, steps // settings.evaluate)
        super().__init__(
            model=model,
            args=arguments,
            train_dataset=Packs(packs, references, read),
            data_collator=lambda rows: rows[0],
            callbacks=[Judging(development, every, report, stopping, read)],
        )
        # Printing is for `report`.
        self.remove_callback(PrinterCallback)
        self.settings, self.output, self.steps = settings, output, steps
        # Every loss counts alike, whatever pack it is in.
        compared = settings.bradley_terry > 0
        counts = [p.units if compared else len(p.examples) for p in packs]
        self.losses_per_pack = sum(counts) / len(packs)
        self.model_accepts_loss_kwargs = False
        self.seen: list[dict[str, float]] = []
        self.began = time.monotonic()

    def _get_train_sampler(self, train_dataset: Dataset[Any] | None = None) -> SequentialSampler:
        # The packs are in their order already; see `spread`.
        return SequentialSampler(cast("Packs", self.train_dataset))

    def compute_loss(
        self,
        model: nn.Module,
        inputs: Batch,
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor:
        """The losses of a pack, summed over the mean number of losses in a pack. Shape ().

        Args:
            model: as ``Trainer`` wrapped it.
            inputs: a row of ``Packs``.

        Raises:
            MeneError: it is not finite; the batch is kept in the folder.
        """
        found = pair_loss(
            completion_logps(cast("Model", model), inputs),
            inputs["reference"],
            inputs["lengths"],
            inputs["compared"],
            beta=self.settings.beta,
            sft=self.settings.sft,
            bradley_terry=self.settings.bradley_terry,
        )
        loss = found.loss.sum() / self.losses_per_pack
        if not torch.isfinite(loss):
            path = self.output / "not-finite.pt"
            torch.save({k: v.cpu() for k, v in inputs.items()}, path)
            raise MeneError(
                f"the loss is {loss.item()} at step {self.state.global_step}; the batch is in {path}. Lower "
                "train.learning_rate, or compute in float32, and run again"
            )
        self.seen.append({**_means(found), "tokens": inputs["input_ids"].numel()})
        return loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add to a line of the log what was seen since the last one."""
        if "loss" in logs and self.seen:
            names = dict.fromkeys(name for one in self.seen for name in one)
            means = {k: float(np.mean([s[k] for s in self.seen if k in s])) for k in names}
            seconds = time.monotonic() - self.began
            rate = sum(s["tokens"] for s in self.seen) / seconds
            logs |= {**means, "tokens_per_second": rate, "steps": self.steps}
            self.seen, self.began = [], time.monotonic()
        super().log(logs, start_time)


def _means(found: PairLoss) -> dict[str, float]:
    """What the log says of the losses of a pack, by its names there."""
    seen = {}
    if len(found.bradley_terry):
        seen["bradley_terry"] = found.bradley_terry.mean().item()
    if len(found.sft):
        seen["dpo"] = found.dpo.mean().item()
        seen["sft"] = found.sft.mean().item()
        seen["margin"] = found.margins.mean().item()
    seen["preferred"] = (found.ahead > 0).float().mean().item()
    return seen


class Packs(Dataset[Batch]):
    """Packs as a data set: the tensors of each are made when it is asked for.

    A row is what ``read`` gives, and ``reference``: float32, of shape (completions,).
    """

    def __init__(self, packs: list[Pack], references: list[np.ndarray], read: Read) -> None:
        self.packs, self.references, self.read = packs, references, read

    def __len__(self) -> int:
        return len(self.packs)

    def __getitem__(self, index: int) -> Batch:
        reference = torch.from_numpy(self.references[index].astype(np.float32))
        return {**self.read(self.packs[index]), "reference": reference}


class Judging(TrainerCallback):
    """Judges the development rows from time to time, writes the log, and stops when asked to.

    Args:
        packs: the development rows.
        every: steps from one judging to the next; the end is one, and so is the begin.
        report, stopping, read: as in ``JointTrainer``.
    """

    def __init__(
        self,
        packs: list[Pack],
        every: int,
        report: Report,
        stopping: Callable[[], bool],
        read: Read,
    ) -> None:
        self.packs, self.every, self.report, self.stopping = packs, every, report, stopping
        self.read = read

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
            self._judge(args, state, kwargs["model"])

    def _judge(self, args: TrainingArguments, state: TrainerState, model: Model) -> None:
        with torch.autocast(args.device.type, torch.bfloat16, enabled=args.bf16):
            judged = label_probabilities(model, self.packs, self.read)
        if state.global_step == state.max_steps and state.is_world_process_zero:
            write_judged(judged, _log_of(args).with_name("development.jsonl"))
        found = figures(judged)
        self._write(args, state, {f"dev_{name}": value for name, value in found.items()})

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
    """Drop the log's lines after the checkpoint that a run goes on from, and a torn last line."""
    kept = []
    for text in log.read_text("utf-8").splitlines() if log.exists() else ():
        try:
            if json.loads(text)["step"] <= step:
                kept.append(text + "\n")
        except ValueError:
            continue
    log.write_text("".join(kept), "utf-8")
