"""A LoRA adapter, from a GGUF file or a PEFT folder, in the form that the OpenVINO graph adds to its matrices."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mene.engines.folder_tokenizer import read_json
from mene.engines.openvino.folder import gguf_name
from mene.engines.openvino.gguf import row_order
from mene.engines.openvino.parts import LowRank
from mene.engines.openvino.source import Tensors, said_of
from mene.engines.openvino.weights import Weights
from mene.errors import ModelError
from mene.weights.gguf_file import read_gguf
from mene.weights.gguf_header import check_adapter_for
from mene.weights.peft import CONFIG, WEIGHTS, factor_of
from mene.weights.safetensors_file import KINDS, Stored, read_safetensors

ADVICE = "; the engine transformers may use it"
# Matrices to which the graph can add an adapter.
_ADAPTED = re.compile(r"blk\.\d+\.(attn_(q|k|v|output)|ffn_(gate|up|down))|output")
# PEFT settings under which an adapter is not just a product of two matrices that is added.
_MORE = (
    "use_dora", "use_qalora", "use_bdlora", "lora_bias", "fan_in_fan_out", "modules_to_save", "target_parameters",
    "trainable_token_indices", "layer_replication", "alora_invocation_tokens", "arrow_config", "kasa_config",
    "monteclora_config", "velora_config",
)  # fmt: skip


class Model(NamedTuple):
    """The model that an adapter must fit.

    Attributes:
        name: of its file, for messages.
        arch: its architecture, as GGUF names it.
    """

    name: str
    arch: str
    tensors: Tensors


def check_fits(path: Path, model: Model) -> None:
    """Check that an adapter fits this model. Reads headers only.

    Raises:
        ModelError: it is for another model, damaged, or of an unsupported kind.
    """
    if path.is_dir():
        _peft_table(path, model)
    else:
        _gguf_table(path, model)


def read_adapter(path: Path, model: Model, head_size: int) -> dict[str, LowRank]:
    """Return an adapter's matrices, by GGUF's name of the matrix that each adds to.

    Args:
        head_size: width of an attention head.

    Raises:
        ModelError: as for ``check_fits``.
    """
    return _of_peft(path, model) if path.is_dir() else _of_gguf(path, model, head_size)


def _of_gguf(path: Path, model: Model, head_size: int) -> dict[str, LowRank]:
    factors, names, alpha = _gguf_table(path, model)
    low_rank = {}
    for name in names:
        down, up = (factors.vector(f"{name}.weight.lora_{side}") for side in "ab")
        turned = row_order(head_size if model.arch == "llama" else None, name, len(up))
        up = up if turned is None else up[turned]
        low_rank[name] = LowRank(down, up * np.float32(alpha / len(down)))
    return low_rank


def _gguf_table(path: Path, model: Model) -> tuple[Weights, list[str], float]:
    check_adapter_for(path, model.name, model.arch)
    found = read_gguf(path)
    factors = Weights(path, found)
    with said_of(path):
        names = sorted({tensor.name.rsplit(".weight.lora_", 1)[0] for tensor in found.tensors})
        for name in names:
            a, b = (f"{name}.weight.lora_{side}" for side in "ab")
            if not _ADAPTED.fullmatch(name):
                raise ModelError(
                    f"adapts {name}, which this engine does not; the engine llamacpp can use it"
                )
            if a not in factors or b not in factors:
                raise _of_another(model, name)
            _check_shapes(model, name, name, factors.shape(a), factors.shape(b))
    return factors, names, found.fields["adapter.lora.alpha"]


def _of_peft(path: Path, model: Model) -> dict[str, LowRank]:
    low_rank = {}
    for name, (a, b, scale) in _peft_table(path, model).items():
        low_rank[name] = LowRank(a.plain(), b.plain() * scale)
    return low_rank


def _peft_table(path: Path, model: Model) -> dict[str, tuple[Stored, Stored, Any]]:
    if not (path / CONFIG).is_file():
        raise ModelError(
            f"{path}: not an adapter: no {CONFIG} in it; give a folder of PEFT or a GGUF"
        )
    config = read_json(path / CONFIG)
    with said_of(path / CONFIG, ADVICE):
        _check_kind(config)
    if not (path / WEIGHTS).is_file():
        raise ModelError(f"{path}: no {WEIGHTS} in it; save the adapter again")
    stored = read_safetensors(path / WEIGHTS)
    modules: dict[str, dict[str, Stored]] = {}
    with said_of(path):
        for name, entry in sorted(stored.items()):
            found = factor_of(name)
            if found is None or entry.kind not in KINDS:
                raise ModelError(f"its tensor {name} is unknown to this engine{ADVICE}")
            modules.setdefault(found[0], {})[found[1]] = entry
        if not modules:
            raise ModelError("an adapter without weights; save it again")
        table = {}
        for module, sides in modules.items():
            name = gguf_name(module)
            if name is None or not _ADAPTED.fullmatch(name):
                raise ModelError(f"adapts {module}, which this engine does not{ADVICE}")
            if len(sides) < 2:
                raise ModelError(f"has only one of the two matrices of {module}; save it again")
            a, b = sides["A"], sides["B"]
            _check_shapes(model, name, module, a.shape, b.shape)
            table[name] = a, b, np.float32(_scale(config, module, a.shape[0]))
    return table


def _check_kind(config: dict[str, Any]) -> None:
    if (kind := config.get("peft_type")) != "LORA":
        raise ModelError(f"an adapter of the kind {kind!r:.40}, but this engine knows only LORA")
    if more := [name for name in _MORE if config.get(name)]:
        raise ModelError(f"an adapter with {more[0]}, which this engine does not have")
    start = config.get("init_lora_weights", True)
    if isinstance(start, str) and start not in ("gaussian", "orthogonal", "eva"):
        # PEFT subtracts such an adapter's initial value from the weights when it loads it.
        raise ModelError(
            f"an adapter with init_lora_weights {start!r:.40}, which this engine does not have"
        )
    if (bias := config.get("bias", "none")) != "none":
        raise ModelError(f"an adapter with bias {bias!r:.40}, which this engine does not have")


def _scale(config: dict[str, Any], module: str, rank: int) -> float:
    """Return the factor of the product. The keys of ``alpha_pattern`` are regular expressions for ends of names, as in PEFT."""
    alpha = config.get("lora_alpha", 8)
    patterns = config.get("alpha_pattern") or {}
    for pattern, value in patterns.items():
        if re.match(rf"(.*\.)?({pattern})$", module):
            alpha = value
            break
    if type(alpha) not in (int, float) or not math.isfinite(alpha):
        raise ModelError(f"lora_alpha is {alpha!r:.40}")
    return alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)


def _check_shapes(
    model: Model, name: str, called: str, a: tuple[int, ...], b: tuple[int, ...]
) -> None:
    whole = f"{name}.weight"
    if name == "output" and whole not in model.tensors and "token_embd.weight" in model.tensors:
        raise ModelError(f"adapts {called}, which {model.name} shares with its embeddings{ADVICE}")
    if whole not in model.tensors:
        raise _of_another(model, called)
    rows, width = model.tensors.shape(whole)
    if len(a) != 2 or not a[0] or a != (a[0], width) or b != (rows, a[0]):
        raise _of_another(model, called)


def _of_another(model: Model, name: str) -> ModelError:
    return ModelError(
        f"this adapter was trained on another model than {model.name} ({name}); give the model that it was trained on"
    )
