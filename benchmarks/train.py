"""Training with shared prefixes against TRL's DPOTrainer: the same model, pairs, loss and number of steps.

    python benchmarks/train.py --data nano-data --pairs 64

Both compute the reference log-probabilities of every pair ahead, then train one epoch on the same pairs with the
joint loss. Each runs in a process of its own, in turn, so that peak memory is its own. A pair counts as the tokens that
TRL reads for it (prompt + chosen and prompt + rejected), whatever is really computed: "tokens a second" is comparable.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from mene.recipe import Recipe, load_recipe


def recipe_of(arguments: argparse.Namespace) -> Recipe:
    changes = ["train.epochs=1", f"train.beta={arguments.beta}", "train.sft=1.0"]
    return load_recipe(arguments.recipe, changes)


def pairs_of(arguments: argparse.Namespace, loaded: Any) -> list[Any]:
    from mene.curate.pair import read_pairs
    from mene.train.examples import example, sample

    path = Path(arguments.data) / "train.jsonl"
    return [example(p, loaded) for p in sample(read_pairs(path), arguments.pairs, 0)]


def ours(arguments: argparse.Namespace) -> dict[str, float]:
    """Seconds of the reference pass and of the training, with prefix trees."""
    import torch

    from mene.train.examples import packed
    from mene.train.forward import completion_logps, reference_logps, tensors
    from mene.train.loss import joint_loss
    from mene.train.model import open_model

    recipe = recipe_of(arguments)
    loaded = open_model(recipe, "cpu")
    examples = pairs_of(arguments, loaded)
    packs = packed(examples, recipe.train.pack_tokens, 0)
    model = loaded.model
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=1e-4)
    autocast = recipe.train.dtype == "bfloat16"
    start = time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        references = reference_logps(model, packs)
        middle = time.perf_counter()
        model.train()
        for pack, before in zip(packs, references, strict=True):
            batch = tensors(pack)
            logps, reference = completion_logps(model, batch), torch.from_numpy(before)
            loss = joint_loss(
                logps[0::2],
                logps[1::2],
                reference[0::2],
                reference[1::2],
                batch["lengths"][0::2],
                beta=recipe.train.beta,
                alpha=recipe.train.sft,
            ).loss.mean()
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    computed = sum(len(pack.tree.ids) for pack in packs)
    return {"reference": middle - start, "train": time.perf_counter() - middle} | counts(
        examples, computed
    )


def theirs(arguments: argparse.Namespace) -> dict[str, float]:
    """The same with TRL's DPOTrainer on the same token ids."""
    import datasets
    from trl import DPOConfig, DPOTrainer  # pyright: ignore[reportPrivateImportUsage]

    from mene.train.model import open_model

    class Ready(DPOTrainer):
        def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:
            return dataset  # tokens, as they are

    recipe = recipe_of(arguments)
    loaded = open_model(recipe, "cpu")
    examples = pairs_of(arguments, loaded)
    rows = [
        {"prompt_ids": e.prompt, "chosen_ids": e.completions[0], "rejected_ids": e.completions[1]}
        for e in examples
    ]
    with tempfile.TemporaryDirectory() as folder:
        settings = DPOConfig(
            output_dir=folder,
            beta=recipe.train.beta,
            loss_type=["sigmoid", "sft"],
            loss_weights=[1.0, recipe.train.sft],
            per_device_train_batch_size=arguments.batch,
            learning_rate=1e-4,
            num_train_epochs=1,
            precompute_ref_log_probs=True,
            bf16=recipe.train.dtype == "bfloat16",
            use_cpu=True,
            gradient_checkpointing=False,
            train_sampling_strategy="sequential",
            report_to=[],
            save_strategy="no",
            disable_tqdm=True,
            max_length=None,
        )
        rows.sort(key=lambda row: len(row["prompt_ids"]))  # so that nothing is lost to padding
        start = time.perf_counter()
        trainer = Ready(
            model=loaded.model,
            args=settings,
            train_dataset=datasets.Dataset.from_list(rows),
            processing_class=loaded.tokenizer,
        )
        middle = time.perf_counter()
        trainer.train()
        end = time.perf_counter()
    computed = sum(2 * len(e.prompt) + sum(map(len, e.completions)) for e in examples)
    return {"reference": middle - start, "train": end - middle} | counts(examples, computed)


def counts(examples: list[Any], computed: int) -> dict[str, float]:
    plain = sum(2 * len(e.prompt) + sum(map(len, e.completions)) for e in examples)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"pairs": len(examples), "plain_tokens": plain, "computed": computed, "peak_mib": peak}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="folder that `mene curate` made")
    parser.add_argument("--recipe", default="nano")
    parser.add_argument("--pairs", type=int, default=64)
    parser.add_argument("--batch", type=int, default=4, help="pairs a step of TRL")
    parser.add_argument("--beta", type=float, default=0.1)
    parser.add_argument("--only", choices=["ours", "theirs"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        print(json.dumps({"ours": ours, "theirs": theirs}[arguments.only](arguments)))
        return
    found: dict[str, dict[str, float]] = {}
    for name in ("theirs", "ours"):
        command = [sys.executable, __file__, *sys.argv[1:], "--only", name]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found[name] = json.loads(done.stdout.splitlines()[-1])
    print("| | reference, s | training, s | tokens/s equivalent | tokens computed | peak MiB |")
    print("|---|---|---|---|---|---|")
    for name, title in {"theirs": "TRL DPOTrainer", "ours": "mene"}.items():
        one = found[name]
        seconds = one["reference"] + one["train"]
        print(
            f"| {title} | {one['reference']:.1f} | {one['train']:.1f} | "
            f"{one['plain_tokens'] / seconds:,.0f} | {one['computed']:,.0f} | {one['peak_mib']:,.0f} |"
        )
    ratio = {
        name: (found["theirs"]["reference"] + found["theirs"]["train"])
        if name == "all"
        else found["theirs"][name]
        for name in ("reference", "train", "all")
    }
    mine = found["ours"] | {"all": found["ours"]["reference"] + found["ours"]["train"]}
    print({name: f"{value / mine[name]:.2f} x" for name, value in ratio.items()})


if __name__ == "__main__":
    main()
