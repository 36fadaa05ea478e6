"""The training loop: a step per few packs, the losses of ``loss.py``, a log, and evaluations at intervals.

Schedule, checkpoints and processes are handled by ``transformers.Trainer``, the base of TRL's trainers too.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, SequentialSampler
from transformers import PrinterCallback, Trainer, TrainingArguments

from mene.errors import MeneError
from mene.events import Events, on_stderr
from mene.recipe import Recipe
from mene.train.examples import Pack
from mene.train.forward import Batch, Model, Read, completion_logps, tensors
from mene.train.judging import Judging, Report
from mene.train.loss import PairLoss, pair_loss
from mene.train.processes import processes

LOGGED = 5  # steps between lines of the log


class JointTrainer(Trainer):
    """Trains a model on packs.

    Args:
        model: with the weights to train, and an adapter or none.
        recipe: its losses and schedule.
        packs: in reading order.
        references: of each pack, ``completion_logps`` of the model before training. Each of shape (completions,).
        development: packs made with ``all_labels``, for the evaluations.
        output: folder for the log and the checkpoints.
        device: ``cpu`` or ``cuda``.
        report: called with every line of the log.
        stopping: called after each step, and in an evaluation; True ends the run with a checkpoint.
        read: converts a pack to the model's input.
        events: called with the progress of evaluations.

    Raises:
        Stopped: in the evaluation before the first step.
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
        events: Events = on_stderr,
    ) -> None:
        settings = recipe.train
        count = processes().total
        accumulate = max(1, settings.packs // count)
        steps = settings.epochs * -(-len(packs) // (accumulate * count))
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
            logging_steps=min(LOGGED, steps),
            save_strategy="steps",
            save_steps=settings.checkpoint,
            save_total_limit=2,
            seed=recipe.seed,
            disable_tqdm=True,
            report_to=[],
            remove_unused_columns=False,
        )
        every = max(1, steps // max(1, settings.evaluate))
        super().__init__(
            model=model,
            args=arguments,
            train_dataset=Packs(packs, references, read),
            data_collator=lambda rows: rows[0],
            callbacks=[Judging(development, every, report, stopping, read, events)],
        )
        # Output is the job of `report`.
        self.remove_callback(PrinterCallback)
        self.settings, self.output, self.steps = settings, output, steps
        # Every loss weighs the same, whatever pack it is in.
        compared = settings.bradley_terry > 0
        counts = [p.units if compared else len(p.examples) for p in packs]
        self.losses_per_pack = sum(counts) / len(packs)
        self.model_accepts_loss_kwargs = False
        self.seen: list[dict[str, float]] = []
        self.began = time.monotonic()

    def _get_train_sampler(self, train_dataset: Dataset[Any] | None = None) -> SequentialSampler:
        # The packs are in order already; see `spread`.
        return SequentialSampler(cast("Packs", self.train_dataset))

    def compute_loss(
        self,
        model: nn.Module,
        inputs: Batch,
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor:
        """Return the losses of a pack, summed and divided by the mean number of losses per pack. Shape ().

        Args:
            model: as wrapped by ``Trainer``.
            inputs: an item of ``Packs``.

        Raises:
            MeneError: it is not finite; the batch is saved in the folder.
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
        """Add the means since the last line to a line of the log."""
        if "loss" in logs and self.seen:
            names = dict.fromkeys(name for one in self.seen for name in one)
            means = {k: float(np.mean([s[k] for s in self.seen if k in s])) for k in names}
            seconds = time.monotonic() - self.began
            rate = sum(s["tokens"] for s in self.seen) / seconds
            logs |= {**means, "tokens_per_second": rate, "steps": self.steps}
            self.seen, self.began = [], time.monotonic()
        super().log(logs, start_time)


def _means(found: PairLoss) -> dict[str, float]:
    """Return the values in the log for the losses of a pack, by their names there."""
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
    """Packs as a data set; tensors are created on access.

    An item is what ``read`` returns, with ``reference``: float32, of shape (completions,).
    """

    def __init__(self, packs: list[Pack], references: list[np.ndarray], read: Read) -> None:
        self.packs, self.references, self.read = packs, references, read

    def __len__(self) -> int:
        return len(self.packs)

    def __getitem__(self, index: int) -> Batch:
        reference = torch.from_numpy(self.references[index].astype(np.float32))
        return {**self.read(self.packs[index]), "reference": reference}
