"""A GGUF file as a source for the OpenVINO graph."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mene.engines.openvino.parts import Parts, Shape
from mene.engines.openvino.source import KNOWN, Feed, Source, layer_shapes, said_of
from mene.engines.openvino.weights import Packed, Weights
from mene.errors import ModelError
from mene.weights.chat import ENDS_OF_TURN
from mene.weights.gguf_file import GGUF, read_gguf
from mene.weights.gguf_header import check_model
from mene.weights.gguf_tokenizer import adds_begin, check_tokenizer, named_tokens, tokenizer_of

# (name, rows) of a matrix -> the order of its rows in the graph; None: as in the file.
Order = Callable[[str, int], np.ndarray | None]
# Fields with which the computation differs from the graph's.
_FOREIGN = ("expert_count", "attention.sliding_window", "attention.scale", "logit_scale")
_ENDS = ("eos_token_id", "eot_token_id", "eom_token_id")


def gguf_source(path: Path) -> Source:
    """Read a model.

    Raises:
        ModelError: the file is damaged, or the graph does not support the model.
    """
    found = read_gguf(path)
    check_model(path, found)
    with said_of(path, "; the engine llamacpp may run it"):
        check_form(found)
        weights = Weights(path, found)
        shape = _shape(found, weights)
        arch = found.fields["general.architecture"]
        order = partial(row_order, shape.head_size if arch == "llama" else None)
        return _source(found, weights, shape, order)


def row_order(head_size: int | None, name: str, rows: int) -> np.ndarray | None:
    """Return the order of a matrix's rows in the graph; None: as in the file.

    llama.cpp rotates neighbouring pairs where Transformers rotates halves, and orders the rows of Llama's q and k accordingly.
    """
    if head_size is None or not name.endswith(("attn_q", "attn_k")):
        return None
    return np.arange(rows).reshape(rows // head_size, -1, 2).swapaxes(1, 2).reshape(-1)


def _source(found: GGUF, weights: Weights, shape: Shape, order: Order) -> Source:
    def matrix(name: str) -> Packed | np.ndarray:
        values = weights.matrix(f"{name}.weight")
        rows = order(name, weights.shape(f"{name}.weight")[0])
        if rows is None:
            return values
        return values.rows(rows) if isinstance(values, Packed) else values[rows]

    def vector(name: str) -> np.ndarray | None:
        if name not in weights:
            return None
        values = weights.vector(name)
        rows = order(name.removesuffix(".bias"), len(values))
        return values if rows is None else values[rows]

    fields = found.fields
    tokenizer = tokenizer_of(fields)
    texts = [text.decode("utf-8", "ignore") for text in fields["tokenizer.ggml.tokens"]]
    types = fields.get("tokenizer.ggml.token_type", [])
    control = frozenset(
        t for t, kind in zip(texts, types, strict=False) if kind == 3 and len(t) > 1
    )
    ends = [fields.get(f"tokenizer.ggml.{name}") for name in _ENDS]
    ends += [tokenizer.token_to_id(text) for text in ENDS_OF_TURN & control]
    begin = fields.get("tokenizer.ggml.bos_token_id")
    feed = Feed(
        tokenizer=tokenizer,
        template=fields.get("tokenizer.chat_template") or "",
        texts=named_tokens(fields),
        context=fields[f"{fields['general.architecture']}.context_length"],
        control_tokens=control,
        stops=frozenset(end for end in ends if type(end) is int),
        begin=begin if adds_begin(fields) and type(begin) is int else None,
    )
    parts = Parts(matrix, vector)
    arch = found.fields["general.architecture"]
    return Source(arch, shape, parts, "output.weight" not in weights, feed, weights)


def check_form(gguf: GGUF) -> None:
    """Check that graph and tokeniser support this model.

    Raises:
        ModelError: they do not.
    """
    fields, arch = gguf.fields, gguf.fields.get("general.architecture")
    if arch not in KNOWN:
        raise ModelError(
            f"a model of the form {arch!r}, but this engine knows only {', '.join(KNOWN)}"
        )
    for name in _FOREIGN:
        if fields.get(f"{arch}.{name}"):
            raise ModelError(f"a model with {name}, which this engine does not have")
    check_tokenizer(fields)
    _check_ids(fields)
    size = _heads(fields, arch)[2]
    if fields.get(f"{arch}.rope.dimension_count", size) != size:
        raise ModelError("a model that rotates part of its heads, which this engine does not")
    if fields.get(f"{arch}.attention.value_length", size) != size:
        raise ModelError("a model whose keys and values differ in size, which this engine lacks")
    scaling = fields.get(f"{arch}.rope.scaling.type", "linear")
    if scaling not in ("none", "linear"):
        raise ModelError(f"positions scaled by {scaling!r}, which this engine does not have")
    _epsilon(fields, arch)
    _check_tensors(gguf)


def _check_ids(fields: dict[str, Any]) -> None:
    """Check token ids: for an id out of range, the graph would look up garbage as its embedding."""
    count = len(fields["tokenizer.ggml.tokens"])
    for key in (f"tokenizer.ggml.{name}" for name in ("bos_token_id", *_ENDS)):
        value = fields.get(key, 0)
        if type(value) is not int or not 0 <= value < count:
            raise ModelError(f"{key} is {value!r:.40}, and it has {count} tokens")
    if adds_begin(fields) and "tokenizer.ggml.bos_token_id" not in fields:
        raise ModelError("its prompts begin with a token that it does not name")


def _check_tensors(gguf: GGUF) -> None:
    """Check that the tensors are exactly the graph's, in their sizes. An extra tensor is an error: the graph would ignore
    it."""
    fields, arch = gguf.fields, gguf.fields["general.architecture"]
    there = {tensor.name: tensor.shape[::-1] for tensor in gguf.tensors}
    heads, kv_heads, size = _heads(fields, arch)
    width = _one(fields, f"{arch}.embedding_length")
    inner = _one(fields, f"{arch}.feed_forward_length")
    layers = _one(fields, f"{arch}.block_count")
    if layers > len(there):
        raise ModelError(f"it has {len(there)} tensors for {layers} layers")
    tokens = len(fields["tokenizer.ggml.tokens"])
    rows = max(there.get("token_embd.weight", (0,))[0], tokens)  # some models have spare rows
    layer_needs = layer_shapes(arch, width, inner, heads, kv_heads, size)
    needed: dict[str, tuple[int, ...]] = {
        "token_embd.weight": (rows, width),
        "output_norm.weight": (width,),
    }
    optional: dict[str, tuple[int, ...]] = {
        "output.weight": (rows, width),
        "rope_freqs.weight": (size // 2,),
    }
    for layer in range(layers):
        for name, shape in layer_needs.items():
            needed[f"blk.{layer}.{name}"] = shape
            if len(shape) == 2:
                optional[f"blk.{layer}.{name.replace('.weight', '.bias')}"] = shape[:1]
    if foreign := there.keys() - needed.keys() - optional.keys():
        raise ModelError(f"a model with the tensor {min(foreign)}, which this engine does not have")
    if missing := needed.keys() - there.keys():
        raise ModelError(f"it lacks the tensor {min(missing)}")
    for name, shape in (needed | optional).items():
        if there.get(name, shape) != shape:
            raise ModelError(f"its tensor {name} has the shape {there[name]}, not {shape}")


def _shape(gguf: GGUF, weights: Weights) -> Shape:
    fields, arch = gguf.fields, gguf.fields["general.architecture"]
    heads, kv_heads, size = _heads(fields, arch)
    return Shape(
        layers=_one(fields, f"{arch}.block_count"),
        heads=heads,
        kv_heads=kv_heads,
        head_size=size,
        epsilon=_epsilon(fields, arch),
        frequencies=_frequencies(fields, arch, size, weights),
    )


def _heads(fields: dict[str, Any], arch: str) -> tuple[int, int, int]:
    """Return the numbers of heads and of key-value heads, and the width of a head."""
    heads = _one(fields, f"{arch}.attention.head_count")
    kv_heads = _one(fields, f"{arch}.attention.head_count_kv", heads)
    if heads % kv_heads:
        raise ModelError(f"{heads} heads cannot share the keys of {kv_heads}")
    width = _one(fields, f"{arch}.embedding_length")
    return heads, kv_heads, _one(fields, f"{arch}.attention.key_length", width // heads)


def _one(fields: dict[str, Any], key: str, usual: int | None = None) -> int:
    value = fields.get(key, usual)
    if type(value) is not int or value < 1:
        raise ModelError(f"{key} is {value!r:.40}, which this engine does not know")
    return value


def _epsilon(fields: dict[str, Any], arch: str) -> float:
    value = fields.get(key := f"{arch}.attention.layer_norm_rms_epsilon")
    if type(value) is not float:
        raise ModelError(f"{key} is {value!r:.40}, which this engine does not know")
    return value


def _frequencies(fields: dict[str, Any], arch: str, size: int, weights: Weights) -> np.ndarray:
    """Return radians per token; for Llama 3, divided by the factors in a tensor of the file."""
    scaling = fields.get(f"{arch}.rope.scaling.type", "linear")
    base = fields.get(f"{arch}.rope.freq_base", 10000.0)
    # As in llama.cpp: an older key, where 0 means none.
    older = fields.get(f"{arch}.rope.scale_linear", 1.0)
    factor = fields.get(f"{arch}.rope.scaling.factor", older) if scaling == "linear" else 1.0
    found = base ** (-np.arange(0, size, 2) / size) / (factor or 1.0)
    if "rope_freqs.weight" in weights:
        with np.errstate(divide="ignore"):
            found = found / weights.vector("rope_freqs.weight")
    if not np.isfinite(found).all():
        raise ModelError("some of its positions are turned by no finite angle")
    return found
