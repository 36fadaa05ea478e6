"""OpenVINO's runtime alone: the IR that GenAI saves from a GGUF file, its state held and branched by hand."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from openvino import opset13 as ops


def versions() -> dict[str, str]:
    return {"openvino": ov.__version__}


def open_engine(job: dict[str, Any]) -> Runtime:
    return Runtime(job)


def last_position_only(model: ov.Model) -> None:
    """Compute logits for the last position alone: a slice before the head, which else reads all of them."""
    head = model.output("logits").get_node().input_value(0).get_node()
    while head.get_type_name() != "MatMul":
        head = head.input_value(0).get_node()
    one = lambda value: ops.constant(np.array([value], np.int64))  # noqa: E731
    cut = ops.slice(head.input_value(0), one(-1), one(2**62), one(1), one(1))
    head.input(0).replace_source_output(cut.output(0))
    model.validate_nodes_and_infer_types()


class Runtime:
    def __init__(self, job: dict[str, Any]) -> None:
        core = ov.Core()
        settings = {
            "INFERENCE_NUM_THREADS": job["threads"],
            "PERFORMANCE_HINT": "LATENCY",
            **job["settings"],
        }
        model = core.read_model(Path(job["model"]) / "openvino_model.xml")
        last_position_only(model)
        if job["cache"]:
            core.set_property({"CACHE_DIR": job["cache"]})
        self.request = core.compile_model(model, "CPU", settings).create_infer_request()
        self.past = 0

    def step(self, ids: np.ndarray, beams: np.ndarray | None = None) -> np.ndarray:
        """Logits [batch, vocabulary] behind ``ids`` [batch, new]; ``beams`` says whose state each row goes on from."""
        batch, new = ids.shape
        past, self.past = self.past, self.past + new
        inputs = {
            "input_ids": ids.astype(np.int64),
            "attention_mask": np.ones((batch, self.past), np.int64),
            "position_ids": np.tile(np.arange(past, self.past, dtype=np.int64), (batch, 1)),
            "beam_idx": np.arange(batch, dtype=np.int32)
            if beams is None
            else beams.astype(np.int32),
        }
        return self.request.infer(inputs, share_inputs=True)["logits"][:, -1]

    def begin(self, prompt: list[int]) -> np.ndarray:
        self.request.reset_state()
        self.past = 0
        return self.step(np.array([prompt]))

    def read(self, prompt: list[int]) -> None:
        self.begin(prompt)

    def share(self, prefix: list[int], tails: list[list[int]]) -> None:
        self.begin(prefix)
        # Every tail goes on from row 0 of the state: the plugin makes the copies.
        self.step(np.array(tails), np.zeros(len(tails)))

    def write(self, prompt: list[int], count: int, tokens: int) -> float:
        logits = self.begin(prompt)
        ids = np.full((count, 1), logits[0].argmax())
        begun = time.perf_counter()
        beams: np.ndarray | None = np.zeros(count)
        for _ in range(tokens):
            ids = self.step(ids, beams).argmax(-1)[:, None]
            beams = None
        return time.perf_counter() - begun

    def difference(self, prompt: list[int], yes: int, no: int, before: int) -> float:
        if before:
            self.begin(prompt[:before])
            logits = self.step(np.array([prompt[before:]]))[0]
        else:
            logits = self.begin(prompt)[0]
        return float(logits[yes] - logits[no])
