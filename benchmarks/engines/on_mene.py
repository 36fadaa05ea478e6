"""mene's engine ``openvino``: its own graph on OpenVINO's runtime, fed as the engine feeds it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov

from mene.engines.in_process.tree import Tree
from mene.engines.openvino.model import OpenVINOModel
from mene.engines.openvino.prepare import prepare


def versions() -> dict[str, str]:
    return {"openvino": ov.__version__}


def open_engine(job: dict[str, Any]) -> Own:
    return Own(job)


class Own:
    def __init__(self, job: dict[str, Any]) -> None:
        (path,) = Path(job["model"]).glob("*.gguf")
        dtype = job["settings"].get("dtype", "float32")
        prepared = prepare(path, dtype=dtype)
        self.model = OpenVINOModel(prepared, "benchmark", job["threads"], dtype)

    def read(self, prompt: list[int]) -> np.ndarray:
        self.state = self.model.empty(1)
        return self.state.feed([prompt])[0, -1]

    def share(self, prefix: list[int], tails: list[list[int]]) -> None:
        self.read(prefix)
        tree = Tree.of(tails)
        self.state.read_tree(tree, sorted({places[-1] for places in tree.places}))

    def write(self, prompt: list[int], count: int, tokens: int) -> float:
        logits = self.read(prompt)
        state = self.state.repeat(count)
        ids = [[int(logits.argmax())]] * count
        begun = time.perf_counter()
        for _ in range(tokens):
            ids = state.feed(ids)[:, -1].argmax(-1)[:, None].tolist()
        return time.perf_counter() - begun

    def difference(self, prompt: list[int], yes: int, no: int, before: int) -> float:
        logits = self.read(prompt[:before] if before else prompt)
        if before:
            logits = self.state.feed([prompt[before:]])[0, -1]
        return float(logits[yes] - logits[no])
