"""Which engine runs a model on this machine: the fastest of those that can.

On processors with AVX-512 OpenVINO reads prompts several times as fast as llama.cpp, whose wheels are built for AVX2.
On plain AVX2 both come near what the processor can do in float32: small models are read 1.4 times as fast by OpenVINO,
and of large ones it is the same, for half as much memory again (docs/engines.md).
"""

from __future__ import annotations

import importlib.util
import os
import platform
import sys
from pathlib import Path
from typing import NamedTuple

from mene.errors import ModelError, UsageError
from mene.weights.gguf_file import read_gguf

ENGINES = ("openvino", "llamacpp")
# Processors that OpenVINO reads prompts faster on than llama.cpp does (docs/engines.md). There are no wheels for Intel Macs.
FASTER = ("x86_64", "amd64")
# Bytes of a file up to which that is so on plain AVX2 too.
SMALL = 500_000_000
NEEDED = ("openvino", "tokenizers")


class Choice(NamedTuple):
    """``why``: why it is not OpenVINO, where somebody may want to know; else empty."""

    name: str
    why: str = ""


def embedded_engine(path: Path | None = None, adapter: Path | None = None) -> Choice:
    """The engine for a model with its adapter, or, of none in particular, for this machine.

    ``MENE_ENGINE`` forces one. Folders (of Transformers, of PEFT) are for OpenVINO, wherever it is installed.

    Raises:
        UsageError: ``MENE_ENGINE`` names none.
    """
    if forced := os.environ.get("MENE_ENGINE"):
        if forced not in ENGINES:
            raise UsageError(f'MENE_ENGINE: no engine "{forced}"; one of {", ".join(ENGINES)}')
        return Choice(forced)
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if not missing and any(one is not None and one.is_dir() for one in (path, adapter)):
        return Choice("openvino")
    if platform.machine().lower() not in FASTER or sys.platform == "darwin":
        return Choice("llamacpp")
    if missing:
        return Choice("llamacpp", f"{missing[0]} is not installed (pip install {missing[0]})")
    if path is None:
        return Choice("openvino")
    # In this order: NumPy, which knows the processor, takes long to import.
    if path.exists() and path.stat().st_size > SMALL and not has_avx512():
        return Choice("llamacpp")
    why = _unknown(path)
    return Choice("llamacpp", why) if why else Choice("openvino")


def has_avx512() -> bool:
    """Whether this processor has AVX-512, as far as NumPy knows."""
    try:
        from numpy._core._multiarray_umath import __cpu_features__ as features
    except ImportError:  # NumPy 1
        return False
    return bool(features.get("AVX512F"))


def _unknown(path: Path) -> str:
    """Why OpenVINO's graph cannot be this model; empty where it can, or where the file is damaged, which is said elsewhere."""
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
