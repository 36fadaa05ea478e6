"""ONNX Runtime GenAI: its generator over a model made by its builder."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import onnxruntime_genai as og  # type: ignore[import-not-found]


def versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("onnxruntime", "onnxruntime-genai")}


def open_engine(job: dict[str, Any]) -> Generator:
    return Generator(job)


class Generator:
    def __init__(self, job: dict[str, Any]) -> None:
        config = og.Config(job["model"])
        config.clear_providers()
        settings = {"intra_op_num_threads": job["threads"]}
        import json

        config.overlay(json.dumps({"model": {"decoder": {"session_options": settings}}}))
        self.model = og.Model(config)

    def begin(self, ids: list[list[int]], longest: int, tokens: int = 1) -> Any:
        params = og.GeneratorParams(self.model)
        length = longest + tokens + 1
        params.set_search_options(
            max_length=length, min_length=length, batch_size=len(ids), do_sample=False
        )
        generator = og.Generator(self.model, params)
        generator.append_tokens(np.array(ids, np.int32))
        return generator

    def read(self, prompt: list[int]) -> None:
        self.begin([prompt], len(prompt)).get_logits()

    def share(self, prefix: list[int], tails: list[list[int]]) -> None:
        # One sequence whose cache is cut back to the prefix: there is no branching of a batch.
        generator = self.begin([prefix], len(prefix) + max(map(len, tails)))
        for tail in tails:
            generator.append_tokens(np.array([tail], np.int32))
            generator.get_logits()
            generator.rewind_to(len(prefix))

    def write(self, prompt: list[int], count: int, tokens: int) -> float:
        generator = self.begin([prompt] * count, len(prompt), tokens + 1)
        generator.generate_next_token()
        begun = time.perf_counter()
        for _ in range(tokens):
            generator.generate_next_token()
        return time.perf_counter() - begun

    def difference(self, prompt: list[int], yes: int, no: int, before: int) -> float:
        generator = self.begin([prompt[:before] or prompt], len(prompt))
        if before:
            generator.append_tokens(np.array([prompt[before:]], np.int32))
        logits = np.asarray(generator.get_logits()).reshape(-1)
        return float(logits[yes] - logits[no])
