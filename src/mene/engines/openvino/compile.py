"""Compiling a prepared graph with OpenVINO and caching the result: the next start takes a tenth of the time."""

from __future__ import annotations

import json
import os
import threading
from concurrent.futures import Future, wait
from pathlib import Path
from typing import Any

from filelock import FileLock

from mene.engines.openvino.dtype import Dtype
from mene.engines.openvino.runtime import openvino_runtime
from mene.engines.openvino.sweep import WEIGHTS
from mene.engines.openvino.weights import GROUP
from mene.errors import ModelError
from mene.weights.cache import free_space, is_own, known_sha256

# Seconds between two checks for completion; Ctrl-C takes effect at each.
LOOK = 0.1
KEPT, SUMS = "compiled", "sums.json"


def compiled(graph: Path, threads: int, dtype: Dtype = "float32") -> Any:
    """Return a compiled model that computes in ``dtype``.

    OpenVINO does not notice when a cached file has changed, so only files with a recorded checksum are used.

    Raises:
        ModelError: OpenVINO cannot load it.
    """
    settings: dict[str, Any] = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        # Pinned threads would wait for other processes on their core.
        "ENABLE_CPU_PINNING": False,
        # The KV cache and all computation use float32; weights are unpacked on the fly.
        "INFERENCE_PRECISION_HINT": "f32",
        "KV_CACHE_PRECISION": "f32",
        # 0 rounds nothing. The default does, wherever the processor has instructions for it.
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": GROUP if dtype == "int8" else 0,
        # Kernels compiled for one input size serve all layers, and often the next token. Limited, or memory would grow.
        "CPU_RUNTIME_CACHE_CAPACITY": 64,
    }
    folder = graph.parent / KEPT
    if not os.access(graph.parent, os.W_OK) or free_space(folder) < _size(graph) * 2:
        return _load(graph, settings)
    if os.path.lexists(folder) and not is_own(folder):
        return _load(graph, settings)
    settings["CACHE_DIR"] = str(folder)
    with FileLock(graph.parent / f"{KEPT}.lock"):
        _drop_unknown(folder)
        model = _load(graph, settings)
        _remember(folder)
    return model


def _load(graph: Path, settings: dict[str, Any]) -> Any:
    core, made = openvino_runtime().Core(), Future[Any]()

    def work() -> None:
        try:
            made.set_result(core.compile_model(str(graph), "CPU", settings))
        except BaseException as error:
            made.set_exception(error)

    # Compilation cannot be interrupted: in this thread, Ctrl-C would wait for it.
    threading.Thread(target=work, name="mene-compile", daemon=True).start()
    while not wait([made], LOOK).done:
        pass
    try:
        return made.result()
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise ModelError(f"{graph}: OpenVINO cannot load this model: {reason}") from None


def _size(graph: Path) -> int:
    return (graph.parent / WEIGHTS).stat().st_size


def _drop_unknown(folder: Path) -> None:
    """Delete cached files that are incomplete or have changed."""
    sums = _sums(folder)
    for file in folder.glob("*.blob"):
        if sums.get(file.name) != known_sha256(file):
            file.unlink()


def _remember(folder: Path) -> None:
    there = {file.name: known_sha256(file) for file in folder.glob("*.blob")}
    if there and there != _sums(folder):
        (folder / SUMS).write_text(json.dumps(there), "utf-8")


def _sums(folder: Path) -> dict[str, str]:
    try:
        found = json.loads((folder / SUMS).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
