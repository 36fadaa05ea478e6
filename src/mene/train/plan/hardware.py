"""The GPUs or the processor that a plan is for, and this machine's free memory."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf

from mene.engines.cores import memory_size
from mene.errors import UsageError


@dataclass(frozen=True)
class Hardware:
    """GPUs of one kind, or this machine's processor.

    Attributes:
        tflops: peak per GPU, dense bfloat16 (makers' data sheets); None for a processor.
        memory: bytes per GPU.
        tokens_per_second: per GPU, measured while training this recipe (``log.jsonl``); takes precedence over the peak.
        flops: FLOPs per second of one, measured with this recipe's matrices (``measure.py``); takes precedence over the peak.
    """

    name: str
    tflops: float | None
    memory: float
    gpus: int = 1
    tokens_per_second: float | None = None
    flops: float | None = None


GPUS = {
    "h100": Hardware("H100 SXM", 989, 80e9),
    "h200": Hardware("H200 SXM", 989, 141e9),
    "a100": Hardware("A100 80GB", 312, 80e9),
    "l4": Hardware("L4", 121, 24e9),
    "rtx4090": Hardware("RTX 4090", 165, 24e9),
}


def hardware(name: str, gpus: int = 1, tokens_per_second: float | None = None) -> Hardware:
    """Return one of ``GPUS``, or ``cpu``: this machine.

    Args:
        gpus: 1 or more; 1 for ``cpu``.
        tokens_per_second: in training this recipe, per device; required for a processor's hours.

    Raises:
        UsageError: an unknown name, or a number out of range.
    """
    key = name.lower()
    if key not in (*GPUS, "cpu"):
        raise UsageError(f'no figures for "{name}"; give one of {", ".join(GPUS)}, cpu')
    if gpus < 1 or (key == "cpu" and gpus != 1):
        raise UsageError(f"{gpus} x {name}: give 1 GPU or more; cpu is this one machine")
    found = GPUS.get(key) or Hardware("this processor", None, memory_of("cpu") or inf)
    return replace(found, gpus=gpus, tokens_per_second=tokens_per_second)


def memory_of(device: str = "cpu") -> float | None:
    """Return the bytes that a run may use: a GPU's free memory, or the machine's whole memory (or its container's).

    None where the system does not tell.
    """
    if device.startswith("cuda"):
        import torch

        return float(torch.cuda.mem_get_info(device)[0])
    size = memory_size()
    return None if size is None else float(size)
