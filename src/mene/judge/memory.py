"""The memory that a judge takes on this machine, as far as it is known before it is opened."""

from __future__ import annotations

from mene.engines.openvino.dtype import asked_dtype, default_dtype
from mene.judge.preset import CHOOSING, SERVED, Preset

ROOM = 1.3  # memory of a model, in sizes of its file, where the preset does not say
WIDER = 1.5  # what bfloat16 takes beyond that for a file of 4 bits, in sizes of the file


def memory_of(preset: Preset) -> int:
    """Return bytes: 0 for a judge on a server, and where nothing is known."""
    if preset.engine in SERVED:
        return 0
    size = preset.weights.size or 0
    known = preset.memory or int(size * ROOM)
    in_bfloat16 = (asked_dtype(preset.dtype) or default_dtype(size)) == "bfloat16"
    if preset.engine in CHOOSING and in_bfloat16:
        known += int(size * WIDER)
    return known
