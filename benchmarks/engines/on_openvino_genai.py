"""OpenVINO GenAI's pipeline, which schedules prompts over a paged cache and keeps the prefixes it has seen."""

from __future__ import annotations

from math import nan
from typing import Any

import numpy as np
import openvino as ov
import openvino_genai as genai  # type: ignore[import-not-found]


def versions() -> dict[str, str]:
    return {"openvino-genai": genai.__version__}


def open_engine(job: dict[str, Any]) -> Pipeline:
    return Pipeline(job)


class Pipeline:
    def __init__(self, job: dict[str, Any]) -> None:
        settings = {"INFERENCE_NUM_THREADS": job["threads"], **job["settings"]}
        if job["cache"]:
            settings["CACHE_DIR"] = job["cache"]
        scheduler = genai.SchedulerConfig()
        scheduler.enable_prefix_caching, scheduler.cache_size = True, 1
        scheduler.max_num_batched_tokens = 4096
        self.pipeline = genai.LLMPipeline(
            job["model"], "CPU", scheduler_config=scheduler, **settings
        )

    def run(self, prompts: list[list[int]], tokens: int, **more: Any) -> Any:
        config = genai.GenerationConfig()
        config.max_new_tokens, config.ignore_eos, config.do_sample = tokens, True, False
        for name, value in more.items():
            setattr(config, name, value)
        ids = ov.Tensor(np.array(prompts, np.int64))
        inputs = genai.TokenizedInputs(ids, ov.Tensor(np.ones_like(prompts, np.int64)))
        return self.pipeline.generate(inputs, config)

    def read(self, prompt: list[int]) -> None:
        self.run([prompt], 1)

    def share(self, prefix: list[int], tails: list[list[int]]) -> None:
        self.run([prefix + tails[0]], 1)
        self.run([prefix + tail for tail in tails[1:]], 1)

    def write(self, prompt: list[int], count: int, tokens: int) -> float:
        """From the pipeline's own clock: the whole less the time to the first token."""
        metrics = self.run([prompt] * count, tokens + 1).perf_metrics
        return (metrics.get_generate_duration().mean - metrics.get_ttft().mean) / 1000

    def difference(self, prompt: list[int], yes: int, no: int, before: int) -> float:
        return nan
