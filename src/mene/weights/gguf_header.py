"""Checks that a GGUF header describes a possible language model or adapter.

On many impossible values, llama.cpp fails an assertion, which ends the process with all its rows. The checks were found by
changing every field of a small model and observing the effect (`tests/engines/test_gguf.py` has examples).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mene.errors import ModelError
from mene.weights.cache import file_identity
from mene.weights.chat import unfit
from mene.weights.gguf_file import GGUF, Damaged, Tensor, damaged, read_gguf
from mene.weights.gguf_tokenizer import named_tokens

_CONTROL = 3  # llama_token_type: control
_INTEGERS = range(24, 28)  # integer formats, which weights never use
_WEIGHT = re.compile(r"(token_embd|output|blk\.\d+\.(attn|ffn)_\w+|\w+norm)\.weight")
# Key without the architecture's prefix -> minimum and maximum that llama.cpp accepts, or that any model has.
_LIMITS = {
    "context_length": (16, 1 << 27),
    "block_count": (1, 512),
    "embedding_length": (1, 1 << 20),
    "attention.head_count": (0, 1 << 14),
    "attention.head_count_kv": (0, 1 << 14),
    "attention.key_length": (0, 1 << 16),
    "attention.value_length": (0, 1 << 16),
    "expert_count": (0, 512),
}
_LIMITS_OF_REALS = {
    "attention.layer_norm_epsilon": (0.0, 1.0),
    "attention.layer_norm_rms_epsilon": (0.0, 1.0),
    "rope.freq_base": (1e-6, 1e18),
}
_SCALINGS = ("none", "linear", "yarn", "longrope")
MOST_CONTEXT = 8192  # default maximum, in tokens: cache memory grows with it
MOST_TEMPLATE = 1 << 20  # characters


@dataclass(frozen=True)
class GGUFHeader:
    """Facts of one model file.

    Attributes:
        architecture: e.g. ``llama``.
        context: number of tokens that the model was trained to read.
        kv_values_per_token: numbers per token in the KV cache, over all layers.
        control_tokens: texts of the control tokens.
        file_type: number format of most weights, as in llama.cpp (``llama_ftype``); None = not stated.
        template: chat template; empty = none.
        texts: variables of the template (``bos_token``, …).
    """

    architecture: str
    context: int
    kv_values_per_token: int
    control_tokens: frozenset[str]
    file_type: int | None = None
    template: str = ""
    texts: dict[str, str] = field(default_factory=dict)


def read_header(path: Path) -> GGUFHeader:
    """Read and check the header of a model.

    Raises:
        ModelError: not a GGUF file, damaged, or not a language model.
    """
    gguf = read_gguf(path)
    check_model(path, gguf)
    fields, arch = gguf.fields, gguf.fields["general.architecture"]

    def number(name: str, default: int) -> int:
        return max(_each(fields.get(f"{arch}.{name}", default)))  # some models vary by layer

    heads = max(number("attention.head_count", 1), 1)
    width = number("embedding_length", 0) // heads
    kv_heads = number("attention.head_count_kv", heads)
    values = number("attention.key_length", width) + number("attention.value_length", width)
    file_type = fields.get("general.file_type")
    tokens, types = fields["tokenizer.ggml.tokens"], fields.get("tokenizer.ggml.token_type", [])
    return GGUFHeader(
        architecture=arch,
        context=number("context_length", 2048),
        kv_values_per_token=number("block_count", 1) * kv_heads * values,
        control_tokens=frozenset(
            text.decode("utf-8", "ignore")
            for text, kind in zip(tokens, types, strict=False)
            if kind == _CONTROL and len(text) > 1
        ),
        file_type=file_type if type(file_type) is int else None,
        template=fields.get("tokenizer.chat_template", ""),
        texts=named_tokens(fields),
    )


def context_of(wanted: int | None, trained: int) -> int:
    """Return the number of tokens of prompt and answer that an engine allows: ``wanted``, or by default up to ``MOST_CONTEXT``;
    never more than the model was ``trained`` on."""
    return min(wanted or MOST_CONTEXT, trained)


def check_adapter(path: Path) -> None:
    """Check that a file is a LoRA adapter.

    Raises:
        ModelError: it is not, or is damaged.
    """
    if path.is_dir():
        raise ModelError(
            f"{path} is a PEFT folder, but llama.cpp reads only GGUF adapters; use the engine openvino or "
            "transformers, or write one with `mene export`"
        )
    gguf = read_gguf(path)
    if gguf.fields.get("general.type") != "adapter" or gguf.fields.get("adapter.type") != "lora":
        raise ModelError(f"{path}: not a LoRA adapter; `mene export` writes one as adapter.gguf")
    try:
        alpha = gguf.fields.get("adapter.lora.alpha")
        if type(alpha) is not float or not math.isfinite(alpha):
            raise Damaged(f"adapter.lora.alpha is {alpha!r:.40}")
        _check_tensors(gguf.tensors)
    except Damaged as error:
        raise damaged(path, error) from None


def check_adapter_for(path: Path, model: str, arch: object) -> None:
    """Check that a file is a LoRA adapter for a kind of model.

    Args:
        model: its name, for messages.
        arch: its architecture, as GGUF names it.

    Raises:
        ModelError: it is not, or is damaged.
    """
    check_adapter(path)
    if (own := read_gguf(path).fields.get("general.architecture")) != arch:
        raise ModelError(
            f"{path}: this adapter was trained on another model than {model} (on a {own!s:.40}, not a {arch!s:.40}); "
            "give the model that it was trained on"
        )


def gguf_identity(engine: str, path: Path, adapters: Sequence[Path] = ()) -> str:
    """Return a string that identifies the exact weights and the engine (``Engine.identity``).

    Raises:
        ModelError: an adapter is not one, is damaged, or is for another kind of model.
    """
    for adapter in adapters:
        check_adapter_for(adapter, path.name, read_gguf(path).fields.get("general.architecture"))
    return f"{engine}:" + "+".join(map(file_identity, (path, *adapters)))


def check_model(path: Path, gguf: GGUF) -> None:
    """Raise ``ModelError`` unless the header is that of a model which llama.cpp can load."""
    fields = gguf.fields
    if fields.get("general.type") == "adapter":
        raise ModelError(f"{path} is an adapter, not a model; name it under `adapter` in a preset")
    if fields.get("split.count", 0) not in (0, 1):
        raise ModelError(
            f"{path} is one part of a model in several files; merge them with llama-gguf-split --merge"
        )
    try:
        _check_numbers(fields)
        _check_vocabulary(fields)
        _check_template(fields)
        _check_tensors(gguf.tensors)
    except Damaged as error:
        raise damaged(path, error) from None


def _check_numbers(fields: dict[str, Any]) -> None:
    arch = fields.get("general.architecture")
    if not isinstance(arch, str) or not arch:
        raise Damaged("no architecture is named")
    for name in ("context_length", "embedding_length", "block_count"):
        if type(fields.get(f"{arch}.{name}")) is not int:
            raise Damaged(f"{arch}.{name} is missing, or no whole number")
    for key, value in fields.items():
        if key.startswith(f"{arch}."):
            _check_number(key, key.removeprefix(f"{arch}."), value)
    _check_together(arch, fields)


def _each(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _check_number(key: str, name: str, value: Any) -> None:
    for number in _each(value):
        if name in _LIMITS:
            low, high = _LIMITS[name]
            right = type(number) is int and low <= number <= high
        elif name in _LIMITS_OF_REALS:
            low, high = _LIMITS_OF_REALS[name]
            right = type(number) is float and low <= number <= high
        else:
            right = not isinstance(number, float) or math.isfinite(number)
        if not right:
            raise Damaged(f"{key} is {number!r:.40}")
    if name in _LIMITS and value == []:
        raise Damaged(f"{key} is an empty list")


def _check_together(arch: str, fields: dict[str, Any]) -> None:
    """Check fields that depend on each other."""

    def get(name: str) -> Any:
        return fields.get(f"{arch}.{name}", 0)

    experts, used = get("expert_count"), get("expert_used_count")
    if any(type(n) is not int for n in (*_each(experts), *_each(used))):
        raise Damaged(f"{arch}.expert_count is {experts!r:.40}")
    if max(_each(experts)) < max(_each(used), default=0) or (experts and not used):
        raise Damaged(f"it uses {used!r:.40} of {experts!r:.40} experts")
    ahead = get("nextn_predict_layers")
    if type(ahead) is not int or not 0 <= ahead < get("block_count"):
        raise Damaged(f"{arch}.nextn_predict_layers is {ahead!r:.40}")
    scaling = fields.get(f"{arch}.rope.scaling.type", "none")
    if scaling not in _SCALINGS:
        raise Damaged(f"{arch}.rope.scaling.type is {scaling!r:.40}")


def _check_vocabulary(fields: dict[str, Any]) -> None:
    model = fields.get("tokenizer.ggml.model")
    if not isinstance(model, str) or model in ("", "none", "no_vocab"):
        raise Damaged("it has no vocabulary")
    tokens = fields.get("tokenizer.ggml.tokens")
    if not isinstance(tokens, list) or not tokens or not isinstance(tokens[0], bytes):
        raise Damaged("tokenizer.ggml.tokens is no list of texts")
    if not any(tokens):
        raise Damaged("all of its tokens are empty")
    named = [token for token in tokens if token]
    if len(set(named)) < len(named):
        raise Damaged("some of its tokens are the same")
    for name, kind in (("token_type", int), ("scores", float)):
        values = fields.get(f"tokenizer.ggml.{name}")
        if values is None:
            continue
        if not isinstance(values, list) or any(type(v) is not kind for v in values):
            raise Damaged(f"tokenizer.ggml.{name} is no list of numbers")
        if len(values) != len(tokens):
            raise Damaged(
                f"tokenizer.ggml.{name} has {len(values)} entries for {len(tokens)} tokens"
            )


def _check_template(fields: dict[str, Any]) -> None:
    """Check that the chat template ends, since it runs for every row."""
    text = fields.get("tokenizer.chat_template", "")
    if not isinstance(text, str) or len(text) > MOST_TEMPLATE:
        raise Damaged("its chat template is no text, or longer than 1 MB")
    if text and (why := unfit(text, frozenset(named_tokens(fields).items()))):
        raise Damaged(f"its chat template {why[:120]}")


def _check_tensors(tensors: tuple[Tensor, ...]) -> None:
    if not tensors:
        raise Damaged("it has no tensors")
    for tensor in _weights(tensors):
        if tensor.form in _INTEGERS:
            raise Damaged(f"the weight {tensor.name!r} has integer values")


def _weights(tensors: tuple[Tensor, ...]) -> Iterator[Tensor]:
    for tensor in tensors:
        if _WEIGHT.fullmatch(tensor.name) or tensor.name.endswith((".lora_a", ".lora_b")):
            yield tensor
