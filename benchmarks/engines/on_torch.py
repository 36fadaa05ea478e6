"""PyTorch by way of Transformers: float32 (what all others are held against), bfloat16, int8."""

from __future__ import annotations

import time
from typing import Any

import torch
import transformers


def versions() -> dict[str, str]:
    return {"torch": torch.__version__, "transformers": transformers.__version__}


def open_engine(job: dict[str, Any]) -> Network:
    return Network(job)


class Network:
    def __init__(self, job: dict[str, Any]) -> None:
        transformers.logging.set_verbosity_error()
        transformers.logging.disable_progress_bar()
        torch.set_num_threads(job["threads"])
        torch.set_grad_enabled(False)
        wanted = job["settings"]["dtype"]
        dtype = torch.bfloat16 if wanted == "bfloat16" else torch.float32
        self.model: Any = transformers.AutoModelForCausalLM.from_pretrained(
            job["model"], dtype=dtype
        ).eval()
        if wanted == "int8":
            # Weights a row in int8, activations a tensor, both on the way: what PyTorch itself offers.
            self.model = torch.ao.quantization.quantize_dynamic(
                self.model, {torch.nn.Linear}, dtype=torch.qint8
            )

    def step(self, ids: Any, cache: Any = None) -> tuple[Any, Any]:
        out = self.model(torch.tensor(ids), past_key_values=cache, use_cache=True, logits_to_keep=1)
        return out.logits[:, -1], out.past_key_values

    def read(self, prompt: list[int]) -> None:
        self.step([prompt])

    def share(self, prefix: list[int], tails: list[list[int]]) -> None:
        _, cache = self.step([prefix])
        cache.batch_repeat_interleave(len(tails))
        self.step(tails, cache)

    def write(self, prompt: list[int], count: int, tokens: int) -> float:
        logits, cache = self.step([prompt])
        cache.batch_repeat_interleave(count)
        ids = logits.argmax(-1).repeat(count)[:, None]
        begun = time.perf_counter()
        for _ in range(tokens):
            logits, cache = self.step(ids.tolist(), cache)
            ids = logits.argmax(-1)[:, None]
        return time.perf_counter() - begun

    def difference(self, prompt: list[int], yes: int, no: int, before: int) -> float:
        cache = self.step([prompt[:before]])[1] if before else None
        logits, _ = self.step([prompt[before:]], cache)
        return float(logits[0, yes] - logits[0, no])
