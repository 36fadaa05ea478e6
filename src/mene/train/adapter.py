"""The adapter that a recipe starts from, in PEFT's form or in llama.cpp's."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mene.engines.openvino.folder import gguf_name
from mene.engines.openvino.gguf import row_order
from mene.engines.openvino.weights import Weights
from mene.errors import ModelError, UsageError
from mene.judge.preset import load_preset, preset_names
from mene.weights.gguf_file import read_gguf
from mene.weights.gguf_header import check_adapter
from mene.weights.peft import CONFIG, WEIGHTS, factor_of
from mene.weights.safetensors_file import read_safetensors


class Factors(NamedTuple):
    """The weights of an adapter by PEFT's names, float32, and its alpha."""

    weights: dict[str, np.ndarray]
    alpha: float


def start_of(start: str) -> Path:
    """Return the adapter that a recipe starts from (``adapter.start``): a folder of PEFT, or a GGUF file.

    Raises:
        UsageError: there is no such adapter.
    """
    # Pathlib's expanduser raises RuntimeError for an unknown user.
    path = Path(os.path.expanduser(start))
    if start in preset_names():  # before a folder of that name, as for a judge
        path = Path(load_preset(start).adapter or "")
    if path.is_file() and path.suffix == ".gguf":
        return path
    for name in (WEIGHTS, CONFIG):
        if not (path / name).is_file():
            raise UsageError(
                f"adapter.start: {start}: no {name} there; give the `adapter` folder of a run or of an export, "
                "an adapter.gguf, or a judge with an adapter, such as nano or base"
            )
    return path


def weights_of(start: Path) -> Path:
    """Return the file with the weights of what ``start_of`` returns."""
    return start if start.is_file() else start / WEIGHTS


class Form(NamedTuple):
    """What a recipe says of an adapter (``recipe.Adapter``)."""

    rank: int
    alpha: float
    upper: float


def form_of(start: Path) -> Form:
    """Return the form of what ``start_of`` returns. An adapter always covers the last layer, so that counts all of them.

    Raises:
        ModelError: it is damaged, or no adapter.
    """
    if start.is_file():
        check_adapter(start)
        file = read_gguf(start)
        layers = {int(t.name.split(".")[1]) for t in file.tensors if t.name.startswith("blk.")}
        rank = next(t.shape[0] for t in file.tensors if t.name.endswith(".lora_b"))
        alpha = float(file.fields["adapter.lora.alpha"])
    else:
        try:
            config = json.loads((start / CONFIG).read_text("utf-8"))
            rank, alpha = int(config["r"]), float(config["lora_alpha"])
            layers = set(config.get("layers_to_transform") or ())
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{start / CONFIG}: cannot be read ({error})") from None
        if not layers:
            raise UsageError(
                f"{start / CONFIG}: does not name its layers (layers_to_transform), so it was not made by mene; add them, or "
                "start from another adapter"
            )
    count = max(layers) + 1
    return Form(rank, alpha, (count - min(layers)) / count)


def factors_of(start: Path, names: Iterable[str], head_size: int) -> Factors:
    """Return the weights of what ``start_of`` returns, in either form.

    Args:
        names: of the wanted weights, as PEFT has them. What a GGUF file has beside them is returned under the file's names.
        head_size: width of an attention head of the model.

    Raises:
        ModelError: it is damaged, or no adapter.
    """
    if start.is_file():
        return of_gguf(start, names, head_size)
    try:
        alpha = json.loads((start / CONFIG).read_text("utf-8"))["lora_alpha"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{start / CONFIG}: cannot be read ({error})") from None
    stored = read_safetensors(start / WEIGHTS)
    return Factors({name: one.plain() for name, one in stored.items()}, alpha)


def of_gguf(path: Path, names: Iterable[str], head_size: int) -> Factors:
    """Return an adapter in llama.cpp's form under PEFT's names.

    Args:
        names: of the wanted weights. What the file has beside them is returned under the file's names.
        head_size: width of an attention head of the model.

    Raises:
        ModelError: it is damaged, or no adapter.
    """
    check_adapter(path)
    file = read_gguf(path)
    stored = Weights(path, file)
    turns = file.fields["general.architecture"] == "llama"
    rest = {tensor.name for tensor in file.tensors}
    found = {}
    for name in names:
        if (factor := factor_of(name)) is None or (short := gguf_name(factor[0])) is None:
            continue
        own = f"{short}.weight.lora_{factor[1].lower()}"
        if own not in rest:
            continue
        rest.remove(own)
        values = stored.vector(own)
        order = row_order(head_size, short, len(values)) if turns and factor[1] == "B" else None
        found[name] = values if order is None else values[order]
    return Factors(
        {**found, **{name: stored.vector(name) for name in rest}}, file.fields["adapter.lora.alpha"]
    )
