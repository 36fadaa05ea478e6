"""A training run: from pairs to a trained model, in a folder that can be resumed.

The folder holds ``recipe.yaml`` and ``data.json`` (what the run was started with), ``reference-….npz`` (log-probabilities
of the untrained model), ``log.jsonl`` (a line per step logged, a line per evaluation), ``checkpoint-…``, and at
the end ``development.jsonl`` (the last judgement of every development row) and ``adapter/`` or ``model/``.

Batching, loss and evaluation are ours; the loop, the schedule, checkpoints and processes are those of
``transformers.Trainer``, which is also what TRL's trainers are made of.
"""

from __future__ import annotations

import json
import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from mene.errors import MeneError, UsageError
from mene.models import sha256
from mene.recipe import Recipe
from mene.train.evaluate import figures, label_probabilities, write_judged
from mene.train.examples import Example, Pack, example, packed, read_pairs, sample
from mene.train.forward import completion_logps, reference_logps, tensors
from mene.train.loss import joint_loss, versus_loss
from mene.train.model import WEIGHTS, open_model, start_folder

LOGGED = 5  # steps from one line of the log to the next

Report = Callable[[dict[str, Any]], None]


def train(
    recipe: Recipe,
    data: Path,
    output: Path,
    *,
    device: str | None = None,
    steps: int | None = None,
    report: Report = lambda line: None,
    stage: Callable[[str, int], Callable[[], None]] = lambda name, total: lambda: None,
    stopping: Callable[[], bool] = lambda: False,
) -> Path | None:
    """Train as the recipe says.

    Args:
        data: folder with ``train.jsonl`` and ``dev.jsonl``, as ``mene curate`` makes them.
        output: the run's folder. A run that was stopped goes on from its last checkpoint.
        steps: of the whole run, whatever the length of the prompts: the pairs are divided among as many packs as
            that takes. By default packs have ``train.pack_tokens`` tokens or so, and there are as many as there are.
        report: told of every line of the log.
        stage: told the name and size of each stage before the training (reading, reference); what it returns is called
            at each step of it.
        stopping: asked after each step; True ends the run with a checkpoint from which it can go on.

    Returns:
        the folder of the trained adapter or model; None if the run was stopped before its end.

    Raises:
        UsageError: data missing or changed, another recipe in the folder, or a base that does not load.
        MeneError: the loss is no longer finite; the batch is kept in the folder.
    """
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    # A GGUF file has no config.json beside it; PEFT says so at every checkpoint.
    warnings.filterwarnings("ignore", message="Could not find a config file")
    begin(recipe, data, output)
    loaded = open_model(recipe, device)
    pairs = sample(read_pairs(data / "train.jsonl"), recipe.train.pairs, recipe.seed)
    held = [p for p in read_pairs(data / "dev.jsonl") if p["mode"] == "verdict"]
    held = sample(held, recipe.train.development, recipe.seed)
    if not pairs:
        raise UsageError(f"{data / 'train.jsonl'}: no pairs; run `mene curate` again")
    step = stage("reading", len(pairs) + len(held))
    longest = loaded.context or 10**9
    examples = _examples(pairs, loaded, longest, step)
    development = packed(
        _examples(held, loaded, longest, step, all_labels=True), recipe.train.pack_tokens, 0
    )
    count = None if steps is None else steps // recipe.train.epochs * recipe.train.packs
    packs = packed(examples, recipe.train.pack_tokens, recipe.seed, count)
    autocast = recipe.train.dtype == "bfloat16"
    with torch.autocast(loaded.device.split(":")[0], torch.bfloat16, enabled=autocast):
        references = _references(loaded.model, packs, output, recipe, stage)
    trainer = _trainer(transformers)(
        loaded.model,
        recipe,
        packs,
        references,
        development,
        output,
        loaded.device,
        report,
        stopping,
    )
    trainer.train(resume_from_checkpoint=_last_checkpoint(output))
    if trainer.state.global_step < trainer.state.max_steps:
        return None
    target = output / ("adapter" if recipe.adapter else "model")
    trainer.save_model(str(target))
    if recipe.adapter is None:
        loaded.tokenizer.save_pretrained(target)
    return target


def begin(recipe: Recipe, data: Path, output: Path) -> None:
    """Put down what the run is started with.

    Raises:
        UsageError: data are missing, or the folder holds a run with another recipe or other data.
    """
    settings = recipe.model_dump(mode="json")
    sums = {n: _sum(data / n) for n in ("train.jsonl", "dev.jsonl")}
    if recipe.adapter is not None and recipe.adapter.start:
        sums["start"] = _sum(start_folder(recipe.adapter.start) / WEIGHTS)
    found = {"recipe": settings, "data": sums}
    try:
        output.mkdir(parents=True, exist_ok=True)
        before = output / "run.json"
        if before.exists():
            known = json.loads(before.read_text("utf-8"))
            for what in ("recipe", "data"):
                if known.get(what) != found[what]:
                    raise UsageError(
                        f"{output}: holds a run with another {what}; give another --output, or delete the folder "
                        "to start anew"
                    )
        before.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
        (output / "recipe.yaml").write_text(yaml.safe_dump(settings, sort_keys=False), "utf-8")
    except OSError as error:
        raise UsageError(f"{output}: cannot write here: {error.strerror}; use --output") from None


def _sum(path: Path) -> str:
    try:
        return sha256(path)
    except OSError:
        raise UsageError(f"{path}: not there; make it with `mene curate RECIPE`") from None


def _examples(
    pairs: list[dict[str, Any]],
    loaded: Any,
    longest: int,
    step: Callable[[], None],
    all_labels: bool = False,
) -> list[Example]:
    found = []
    for pair in pairs:
        one = example(pair, loaded, all_labels=all_labels)
        if len(one.prompt) + max(map(len, one.completions)) <= longest:
            found.append(one)
        step()
    return found


def _references(
    model: Any, packs: list[Pack], output: Path, recipe: Recipe, stage: Any
) -> list[np.ndarray]:
    """Log-probabilities of the untrained model, computed once and kept in the run's folder."""
    if recipe.train.beta == 0:
        return [np.zeros(len(pack.lengths), np.float32) for pack in packs]
    path = output / "reference.npz"
    if path.exists():
        with np.load(path) as file:
            return [file[str(i)] for i in range(len(packs))]
    found = reference_logps(model, packs, stage("reference", len(packs)))
    if os.environ.get("RANK", "0") != "0":  # of several processes one writes
        return found
    part = path.with_suffix(".part.npz")
    np.savez(part, **{str(i): values for i, values in enumerate(found)})  # pyright: ignore
    part.replace(path)
    return found


def _last_checkpoint(output: Path) -> str | None:
    """The newest whole checkpoint; one that a kill cut short lacks its state, which is written last."""
    found = sorted(output.glob("checkpoint-*"), key=lambda p: int(p.name.rpartition("-")[2]))
    for folder in reversed(found):
        try:
            json.loads((folder / "trainer_state.json").read_text("utf-8"))
        except (OSError, ValueError):
            continue
        return str(folder)
    return None


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


def _trainer(transformers: Any) -> Any:
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
                train_dataset=_Packs(packs, references),
                data_collator=lambda rows: rows[0],
                callbacks=[
                    _Judging(development, max(1, steps // settings.evaluate), report, stopping)
                ],
            )
            # Printing is for `report`.
            self.remove_callback(transformers.PrinterCallback)
            self.settings, self.output, self.steps = settings, output, steps
            # Every pair counts alike, whatever pack it is in.
            compared = settings.versus > 0
            counts = [p.units if compared else len(p.examples) for p in packs]
            self.pairs_per_pack = sum(counts) / len(packs)
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
            each, alone, seen = found.loss, torch.ones(len(found.loss), dtype=torch.bool), {}
            if self.settings.versus and len(pairs := inputs["pairs"]):
                versus = versus_loss(logps[0::2] - logps[1::2], pairs)
                alone[pairs.flatten().cpu()] = False
                each = torch.cat([each[alone], self.settings.versus * versus])
                seen["versus"] = versus.mean().item()
            loss = each.sum() / self.pairs_per_pack
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
            seen["preferred"] = (logps[0::2] > logps[1::2]).float().mean().item()
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
            self, packs: list[Pack], every: int, report: Report, stopping: Callable[[], bool]
        ) -> None:
            self.packs, self.every, self.report, self.stopping = packs, every, report, stopping

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
                judged = label_probabilities(model, self.packs)
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


class _Packs:
    """Packs as a data set: the tensors of each are made when it is asked for."""

    def __init__(self, packs: list[Pack], references: list[np.ndarray]) -> None:
        self.packs, self.references = packs, references

    def __len__(self) -> int:
        return len(self.packs)

    def __getitem__(self, index: int) -> dict[str, Any]:
        import torch

        reference = torch.from_numpy(self.references[index].astype(np.float32))
        return {**tensors(self.packs[index]), "reference": reference}
