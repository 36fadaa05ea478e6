"""The choice of engine for a model on this machine: the fastest that supports it.

With AVX512-VNNI, OpenVINO reads prompts up to two and a half times as fast as llama.cpp, whose wheels are built for AVX2.
Without it, both come near the processor's float32 peak: OpenVINO reads small models 1.4 times as fast, and large ones equally
fast with half as much memory again (docs/engines.md).
"""

from __future__ import annotations

import importlib.util
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mene.engines.openvino.dtype import LARGE, has_vnni
from mene.errors import ModelError, UsageError
from mene.weights.gguf_file import read_gguf

ENGINES = ("openvino", "llamacpp")
# Processors on which OpenVINO reads prompts faster than llama.cpp (docs/engines.md). It has no wheels for Intel Macs.
FASTER = ("x86_64", "amd64")
NEEDED = ("openvino", "tokenizers")


class Choice(NamedTuple):
    """An engine. ``why``: the reason why it is not OpenVINO, where that may matter to the user; else empty."""

    name: str
    why: str = ""


def embedded_engine(path: Path | None = None, adapters: Sequence[Path] = ()) -> Choice:
    """Return the engine for a model with its adapters; without a model, this machine's default.

    ``MENE_ENGINE`` forces one. Folders (Transformers models, PEFT adapters) use OpenVINO wherever it is installed.

    Raises:
        UsageError: ``MENE_ENGINE`` names no engine.
    """
    if forced := os.environ.get("MENE_ENGINE"):
        if forced not in ENGINES:
            raise UsageError(f'MENE_ENGINE: no engine "{forced}"; one of {", ".join(ENGINES)}')
        return Choice(forced)
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if not missing and any(one is not None and one.is_dir() for one in (path, *adapters)):
        return Choice("openvino")
    if platform.machine().lower() not in FASTER or sys.platform == "darwin":
        return Choice("llamacpp")
    if missing:
        return Choice("llamacpp", f"{missing[0]} is not installed (pip install {missing[0]})")
    if path is None:
        return Choice("openvino")
    # Checked last: importing NumPy, which detects the processor, is slow.
    if path.exists() and path.stat().st_size > LARGE and not has_vnni():
        return Choice("llamacpp")
    why = _unknown(path)
    return Choice("llamacpp", why) if why else Choice("openvino")


def _unknown(path: Path) -> str:
    """Return why OpenVINO does not support this model; empty where it does, or where the file is damaged (reported
    elsewhere)."""
    from mene.engines.openvino.gguf import check_form
    from mene.engines.openvino.source import in_words

    try:
        found = read_gguf(path)
    except ModelError:
        return ""
    try:
        check_form(found)
    except Exception as error:  # a header may hold anything
        return in_words(error)
    return ""
