"""The loop of a training run: a step per few packs, the joint loss, a log, and judging from time to time.

The schedule, checkpoints and processes are those of ``transformers.Trainer``, which is also what TRL's trainers are made of.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mene.errors import MeneError
from mene.recipe import Recipe
from mene.train.evaluate import figures, label_probabilities, write_judged
from mene.train.examples import Pack
from mene.train.forward import Read, completion_logps, tensors
from mene.train.loss import bradley_terry_loss, joint_loss

LOGGED = 5  # steps from one line of the log to the next

Report = Callable[[dict[str, Any]], None]


def trainer_class(transformers: Any) -> Any:
    """The class, made here since Transformers is imported only where it is used."""
    import torch

    class JointTrainer(transformers.Trainer):
        def __init__(
            self,
            model: Any,
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
            arguments = transformers.TrainingArguments(
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
            super().__init__(
                model=model,
                args=arguments,
                train_dataset=_Packs(packs, references, read),
                data_collator=lambda rows: rows[0],
                callbacks=[
                    _Judging(
                        development, max(1, steps // settings.evaluate), report, stopping, read
                    )
                ],
            )
            # Printing is for `report`.
            self.remove_callback(transformers.PrinterCallback)
            self.settings, self.output, self.steps = settings, output, steps
            # Every loss counts alike, whatever pack it is in.
            compared = settings.bradley_terry > 0
            counts = [p.units if compared else len(p.examples) for p in packs]
            self.losses_per_pack = sum(counts) / len(packs)
            self.model_accepts_loss_kwargs = False
            self.seen: list[dict[str, float]] = []
            self.began = time.monotonic()

        def _get_train_sampler(self, *_: Any, **__: Any) -> Any:
            # The packs are in their order already; see `spread`.
            return torch.utils.data.SequentialSampler(self.train_dataset)

        def compute_loss(
            self, model: Any, inputs: Any, return_outputs: bool = False, **_: Any
        ) -> Any:
            logps = completion_logps(model, inputs)
            reference = inputs["reference"]
            found = joint_loss(
                logps[0::2],
                logps[1::2],
                reference[0::2],
                reference[1::2],
                inputs["lengths"][0::2],
                beta=self.settings.beta,
                alpha=self.settings.sft,
            )
            each, ahead = found.loss, logps[0::2] - logps[1::2]
            alone, seen = torch.ones(len(each), dtype=torch.bool), {}
            if self.settings.bradley_terry and len(pairs := inputs["compared"]):
                choice = bradley_terry_loss(ahead, pairs)
                alone[pairs.flatten().cpu()] = False
                each = torch.cat([each[alone], self.settings.bradley_terry * choice])
                ahead = torch.cat([ahead[alone], ahead[pairs].sum(-1)])
                seen["bradley_terry"] = choice.mean().item()
            loss = each.sum() / self.losses_per_pack
            if not torch.isfinite(loss):
                path = self.output / "not-finite.pt"
                torch.save({k: v.cpu() for k, v in inputs.items()}, path)
                raise MeneError(
                    f"the loss is {loss.item()} at step {self.state.global_step}; the batch is in {path}. Lower "
                    "train.learning_rate, or compute in float32, and run again"
                )
            if alone.any():
                seen["dpo"] = found.dpo[alone].mean().item()
                seen["sft"] = found.sft[alone].mean().item()
                seen["margin"] = found.margins[alone].mean().item()
            seen["preferred"] = (ahead > 0).float().mean().item()
            seen["tokens"] = inputs["input_ids"].numel()
            self.seen.append(seen)
            return loss

        def log(self, logs: dict[str, float], *arguments: Any, **more: Any) -> None:
            if "loss" in logs and self.seen:
                names = dict.fromkeys(name for one in self.seen for name in one)
                means = {k: float(np.mean([s[k] for s in self.seen if k in s])) for k in names}
                seconds = time.monotonic() - self.began
                rate = sum(s["tokens"] for s in self.seen) / seconds
                logs |= {**means, "tokens_per_second": rate, "steps": self.steps}
                self.seen, self.began = [], time.monotonic()
            super().log(logs, *arguments, **more)

    class _Judging(transformers.TrainerCallback):
        """Judges the development rows from time to time, writes the log, and stops when asked to."""

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

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            if logs and "loss" in logs:
                self._write(args, state, logs)

        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.is_world_process_zero:
                _forget_after(Path(args.output_dir) / "log.jsonl", state.global_step or -1)
            if state.global_step == 0:
                self._judge(args, state, kwargs["model"])

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if self.stopping():
                control.should_save = control.should_training_stop = True
                return
            near_end = state.max_steps - state.global_step < self.every
            if state.global_step == state.max_steps or (
                state.global_step % self.every == 0 and not near_end
            ):
                self._judge(args, state, kwargs["model"])

        def _judge(self, args: Any, state: Any, model: Any) -> None:
            with torch.autocast(args.device.type, torch.bfloat16, enabled=args.bf16):
                judged = label_probabilities(model, self.packs, self.read)
            if state.global_step == state.max_steps and state.is_world_process_zero:
                write_judged(judged, Path(args.output_dir) / "development.jsonl")
            found = figures(judged)
            self._write(args, state, {f"dev_{name}": value for name, value in found.items()})

        def _write(self, args: Any, state: Any, values: dict[str, float]) -> None:
            if not state.is_world_process_zero:
                return
            line = {"step": state.global_step, **values}
            with (Path(args.output_dir) / "log.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            self.report(line)

    return JointTrainer


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


class _Packs:
    """Packs as a data set: the tensors of each are made when it is asked for."""

    def __init__(self, packs: list[Pack], references: list[np.ndarray], read: Read) -> None:
        self.packs, self.references, self.read = packs, references, read

    def __len__(self) -> int:
        return len(self.packs)

    def __getitem__(self, index: int) -> dict[str, Any]:
        import torch

        reference = torch.from_numpy(self.references[index].astype(np.float32))
        return {**self.read(self.packs[index]), "reference": reference}
