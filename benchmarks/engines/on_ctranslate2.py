"""CTranslate2: its generator over a model made by its Transformers converter."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import ctranslate2  # type: ignore[import-not-found]
import numpy as np


def versions() -> dict[str, str]:
    return {"ctranslate2": ctranslate2.__version__}


def open_engine(job: dict[str, Any]) -> Generator:
    return Generator(job)


class Generator:
    def __init__(self, job: dict[str, Any]) -> None:
        folder = Path(job["model"])
        self.words = json.loads((folder / "vocabulary.json").read_text())
        self.generator = ctranslate2.Generator(
            str(folder),
            device="cpu",
            compute_type="int8",
            intra_threads=job["threads"],
            inter_threads=1,
        )

    def run(self, prompts: list[list[int]], tokens: int = 1, **more: Any) -> Any:
        return self.generator.generate_batch(
            [[self.words[i] for i in prompt] for prompt in prompts],
            max_length=tokens,
            min_length=tokens,
            include_prompt_in_result=False,
            cache_static_prompt=True,
            **more,
        )

    def read(self, prompt: list[int]) -> None:
        self.run([prompt])

    def share(self, prefix: list[int], tails: list[list[int]]) -> None:
        self.run(tails, static_prompt=[self.words[i] for i in prefix])

    def write(self, prompt: list[int], count: int, tokens: int) -> float:
        first = 0.0

        def note(step: Any) -> bool:
            nonlocal first
            first = first or time.perf_counter()
            return False

        self.run([prompt] * count, tokens + 1, callback=note)
        return time.perf_counter() - first

    def difference(self, prompt: list[int], yes: int, no: int, before: int) -> float:
        more: dict[str, Any] = (
            {"static_prompt": [self.words[i] for i in prompt[:before]]} if before else {}
        )
        [result] = self.run([prompt[before:]], return_logits_vocab=True, **more)
        logits = np.asarray(result.logits[0][0]).reshape(-1)
        return float(logits[yes] - logits[no])
