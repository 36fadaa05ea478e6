"""A language model of the Llama architecture as an OpenVINO graph: Llama, Mistral, SmolLM2, Qwen2, Qwen3.

Built here, operation by operation, because judging needs what ready-made graphs lack: a custom attention mask (prompts as
one prefix tree), logits at some places only (for a vocabulary of 150,000, logits cost as much as four layers), adapters
beside the weights, and packed weights with fractional zero points.

Inputs and outputs for B sequences, each fed T tokens after P tokens in its KV cache:

    ids        (B, T) int64
    positions  (B, T) int64      depth of each token in its own sequence
    mask       (B, 1, T, P + T) float32    added to the attention scores: 0, or a large negative number
    picks      (N,) int64       places, numbered over B * T, whose logits are computed
    adapted    (adapters,) float32    only with adapters: 1 for the one in use, 0 for others; all 0 for the weights alone
    past.L.key, past.L.value    (B, kv heads, P, head size) float32, for each layer L: the KV cache
    logits     (N, vocabulary) float32
    new.L.key, new.L.value      (B, kv heads, T, head size) float32: to be added to the cache

The graph keeps no state: who calls it owns the cache. (One that a graph keeps is made anew for every token.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mene.engines.in_process.aside import Aside
from mene.engines.openvino.dtype import Dtype
from mene.engines.openvino.parts import Matrix, Parts, Shape
from mene.engines.openvino.runtime import openvino_runtime
from mene.engines.openvino.weights import Packed, as_bfloat16, for_rounding

# Score of a place that is not attended to; within float16's range.
UNSEEN = -65504.0
TILE = 32  # numbers of bfloat16 in a row of AMX's tiles


@dataclass(frozen=True, slots=True)
class Stacked:
    """All adapters of one matrix, as one of their ranks' sum. ``switch``: node (rank,), 1 for the ranks in use, 0 for others."""

    a: np.ndarray
    b: np.ndarray
    switch: Any


def build(shape: Shape, parts: Parts, *, tied: bool, aside: Aside, dtype: Dtype = "float32") -> Any:
    """Return the model as an ``openvino.Model``.

    Args:
        tied: the output matrix is the embedding matrix.
        aside: holds the weights, which the model keeps using.
        dtype: the number format of the products with weights (``dtype.py``). Those of int8 need ``for_rounding``'s weights; those
            of bfloat16 are written into the graph: what goes into each and what comes out of it is rounded; everything between
            them stays float32, and so does the product that gives the logits.
    """
    ov = openvino_runtime()
    op = ov.opset13
    graph = _Graph(shape, parts, aside, dtype)
    kinds = {
        "ids": ([-1, -1], np.int64),
        "positions": ([-1, -1], np.int64),
        "mask": ([-1, 1, -1, -1], np.float32),
        "picks": ([-1], np.int64),
    }
    inputs = [op.parameter(*kind) for kind in kinds.values()]
    for node, name in zip(inputs, kinds, strict=True):
        node.output(0).set_names({name})
    ids, positions, mask, picks = inputs
    graph.mask = mask
    sizes = op.shape_of(mask, "i64")
    graph.batch, graph.new, graph.all = (op.gather(sizes, _ints([n]), _int(0)) for n in (0, 2, 3))

    words = graph.weights("token_embd")
    x = op.gather(words, ids, _int(0))
    angles = op.multiply(
        op.convert(op.unsqueeze(positions, _int(-1)), "f32"),
        op.constant(shape.frequencies.astype(np.float32).reshape(1, 1, -1)),
    )
    angles = op.unsqueeze(op.concat([angles, angles], -1), _int(1))
    graph.cos, graph.sin = op.cos(angles), op.sin(angles)
    for layer in range(shape.layers):
        x = op.add(x, graph.attention(f"blk.{layer}", x, layer))
        x = op.add(x, graph.mlp(f"blk.{layer}", x))
    width = x.get_output_partial_shape(0)[2].get_length()
    x = op.gather(op.reshape(x, _ints([-1, width]), False), picks, _int(0))
    x = graph.norm("output_norm", x)
    # In int8 this product is rounded like the others if the matrix has whole zero points and groups of 32 (Q8_0). Never in
    # bfloat16, whose numbers near 20 are 0.1 apart: enough to change a close verdict.
    head = words if tied else graph.weights("output")
    logits = op.matmul(x, head, False, True)
    if (adapter := graph.adapter("output")) is not None:
        logits = op.add(logits, graph.low_rank(x, adapter))
    if graph.adapted is not None:
        inputs.append(graph.adapted)
    result = op.result(logits)
    result.output(0).set_names({"logits"})
    return ov.Model([result, *graph.added], [*inputs, *graph.past], "mene")


def _int(value: int) -> Any:
    op = openvino_runtime().opset13
    return op.constant(value, np.int64)


def _ints(values: list[int]) -> Any:
    op = openvino_runtime().opset13
    return op.constant(np.array(values, np.int64))


class _Graph:
    """Nodes that the layers share while the graph is built."""

    mask: Any
    batch: Any  # B, as a list of one number
    new: Any  # T
    all: Any  # P + T
    cos: Any
    sin: Any
    adapted: Any = None

    def __init__(self, shape: Shape, parts: Parts, aside: Aside, dtype: Dtype) -> None:
        self.shape, self.parts, self.aside = shape, parts, aside
        self.past: list[Any] = []  # inputs
        self.added: list[Any] = []  # results
        self._summed: Any = None
        self._short: dict[int, tuple[Any, Any]] = {}  # id of a node -> itself, and it in bfloat16
        self._switches: dict[tuple[int, ...], Any] = {}
        self.dtype = dtype

    def weights(self, name: str) -> Any:
        """Return a matrix by its name, as ``unpacked``."""
        return self.unpacked(self.parts.matrix(name))

    def sums(self, x: Any, size: int) -> Any:
        """Return the sums of x's groups, (B, T, groups): one node for all matrices that x is multiplied with."""
        op = openvino_runtime().opset13
        if self._summed is None or self._summed[0] is not x:
            width = x.get_output_partial_shape(0)[2].get_length()
            groups = op.reshape(x, _ints([0, 0, width // size, size]), True)
            self._summed = (x, op.reduce_sum(groups, _ints([-1]), False))
        return self._summed[1]

    def unpacked(self, matrix: Matrix) -> Any:
        """Return a matrix as float32, unpacked where it is used."""
        op = openvino_runtime().opset13
        if isinstance(matrix, np.ndarray):
            node = self.numbers(matrix)
            return node if matrix.dtype == np.float32 else op.convert(node, "f32")
        rows, groups, size = matrix.values.shape
        values = op.convert(self.packed(matrix), "f32")
        if matrix.zeros is not None:
            values = op.subtract(values, self.small(matrix.zeros, np.uint8))
        values = op.multiply(values, self.small(matrix.scales, np.float16))
        return op.reshape(values, _ints([rows, groups * size]), False)

    def numbers(self, values: np.ndarray, kind: str = "") -> Any:
        """Return a constant; ``kind``: the element type, where numpy has no such type."""
        ov = openvino_runtime()
        if values.dtype == np.uint16:
            kind = "bf16"
        values = self.aside(values)
        if not kind:
            return ov.opset13.constant(values, shared_memory=True)
        shape = [*values.shape[:-1], values.shape[-1] * (2 if kind == "u4" else 1)]
        tensor = ov.Tensor(values, shape, getattr(ov.Type, kind))
        return ov.opset13.constant(tensor, shared_memory=True)

    def packed(self, matrix: Packed) -> Any:
        if matrix.bits == 8:
            return self.numbers(matrix.values)
        two = matrix.values[..., 1::2] << 4
        two |= matrix.values[..., 0::2]
        return self.numbers(two, "u4")

    def small(self, numbers: np.ndarray, kind: Any) -> Any:
        """Return float32 numbers in a smaller type where that is exact, to save disk space."""
        with np.errstate(invalid="ignore", over="ignore"):
            small = numbers.astype(kind)
        if not (small == numbers).all():
            return self.numbers(numbers)
        return openvino_runtime().opset13.convert(self.numbers(small), "f32")

    def linear(self, name: str, x: Any) -> Any:
        op = openvino_runtime().opset13
        matrix, adapter = self.parts.matrix(name), self.adapter(name)
        if self.dtype == "bfloat16":
            y = self.rounded(x, as_bfloat16(matrix), adapter)
        else:
            rest = None
            if self.dtype == "int8" and isinstance(matrix, Packed):
                matrix, rest = for_rounding(matrix)
            y = op.matmul(x, self.unpacked(matrix), False, True)
            if rest is not None:
                sums = self.sums(x, x.get_output_partial_shape(0)[2].get_length() // rest.shape[1])
                y = op.add(y, op.matmul(sums, op.constant(rest), False, True))
            if adapter is not None:
                y = op.add(y, self.low_rank(x, adapter))
        if (bias := self.parts.vector(f"{name}.bias")) is not None:
            y = op.add(y, op.constant(bias))
        return y

    def adapter(self, name: str) -> Stacked | None:
        """Return the adapters of a matrix, in bfloat16 with zeros up to a rank of whole tiles: other widths are slower."""
        each = [(number, of(name)) for number, of in enumerate(self.parts.adapters)]
        there = [(number, one) for number, one in each if one is not None]
        if not there:
            return None
        a = np.concatenate([one.a for _, one in there])
        b = np.concatenate([one.b for _, one in there], 1)
        owners = [number for number, one in there for _ in one.a]
        if self.dtype == "bfloat16":
            more = -len(a) % TILE
            a, b = np.pad(a, ((0, more), (0, 0))), np.pad(b, ((0, 0), (0, more)))
            owners += [0] * more
        return Stacked(a, b, self.switch(tuple(owners)))

    def switch(self, owners: tuple[int, ...]) -> Any:
        """Return which ranks are in use, given the adapter that each belongs to; one node for all matrices with the same."""
        op = openvino_runtime().opset13
        if self.adapted is None:
            self.adapted = op.parameter([len(self.parts.adapters)], np.float32)
            self.adapted.output(0).set_names({"adapted"})
        if owners not in self._switches:
            self._switches[owners] = op.gather(self.adapted, _ints(list(owners)), _int(0))
        return self._switches[owners]

    def low_rank(self, x: Any, adapter: Stacked) -> Any:
        op = openvino_runtime().opset13
        inner = op.multiply(op.matmul(x, op.constant(adapter.a), False, True), adapter.switch)
        return op.matmul(inner, op.constant(adapter.b), False, True)

    def rounded(self, x: Any, matrix: np.ndarray, adapter: Stacked | None) -> Any:
        """Return ``x @ matrix.T`` with its adapter, computed from numbers in bfloat16, as float32.

        The adapter is more columns of the matrix: [x, x @ a.T] @ [matrix, b].T. One product is faster than two and their sum, and
        rounds once.
        """
        op = openvino_runtime().opset13
        # Several matrices share an x.
        if id(x) not in self._short:
            self._short[id(x)] = (x, op.convert(x, "bf16"))
        short = self._short[id(x)][1]
        if adapter is not None:
            a, b = as_bfloat16(adapter.a), as_bfloat16(adapter.b)
            inner = op.convert(op.matmul(short, self.numbers(a), False, True), "f32")
            inner = op.convert(op.multiply(inner, adapter.switch), "bf16")
            short, matrix = op.concat([short, inner], -1), np.concatenate([matrix, b], 1)
        return op.convert(op.matmul(short, self.numbers(matrix), False, True), "f32")

    def norm(self, name: str, x: Any) -> Any:
        op = openvino_runtime().opset13
        weight = self.parts.vector(f"{name}.weight")
        square = op.reduce_mean(op.power(x, op.constant(np.float32(2))), _ints([-1]), True)
        root = op.sqrt(op.add(square, op.constant(np.float32(self.shape.epsilon))))
        y = op.multiply(x, op.divide(op.constant(np.float32(1)), root))
        assert weight is not None
        return op.multiply(y, op.constant(weight))

    def heads(self, name: str, x: Any, count: int) -> Any:
        """Reshape (B, T, count * size) to (B, count, T, size), with a norm where the model has one (Qwen3)."""
        op = openvino_runtime().opset13
        y = op.reshape(x, _ints([0, 0, count, self.shape.head_size]), True)
        if self.parts.vector(f"{name}_norm.weight") is not None:
            y = self.norm(f"{name}_norm", y)
        return op.transpose(y, _ints([0, 2, 1, 3]))

    def rotate(self, x: Any) -> Any:
        op = openvino_runtime().opset13
        half = self.shape.head_size // 2
        first = op.slice(x, _ints([0]), _ints([half]), _ints([1]), _ints([3]))
        second = op.slice(x, _ints([half]), _ints([2 * half]), _ints([1]), _ints([3]))
        turned = op.concat([op.multiply(second, op.constant(np.float32(-1))), first], -1)
        return op.add(op.multiply(x, self.cos), op.multiply(turned, self.sin))

    def attention(self, block: str, x: Any, layer: int) -> Any:
        """Attention as matrix products. OpenVINO's own kernel processes tokens one by one once the cache is not empty: prompts
        after a shared prefix were read at 60 % of the speed (docs/engines.md)."""
        op, shape = openvino_runtime().opset13, self.shape
        size, kv_heads = _ints([shape.head_size]), _ints([shape.kv_heads])
        x = self.norm(f"{block}.attn_norm", x)
        q = self.heads(f"{block}.attn_q", self.linear(f"{block}.attn_q", x), shape.heads)
        k = self.heads(f"{block}.attn_k", self.linear(f"{block}.attn_k", x), shape.kv_heads)
        v = self.heads(f"{block}.attn_v", self.linear(f"{block}.attn_v", x), shape.kv_heads)
        keys = self.remember(f"{layer}.key", self.rotate(k))
        values = self.remember(f"{layer}.value", v)
        q = op.multiply(self.rotate(q), op.constant(np.float32(shape.head_size**-0.5)))
        # Heads that share keys are stacked in one product.
        together = _ints([0, shape.kv_heads, -1, shape.head_size])
        scores = op.matmul(op.reshape(q, together, True), keys, False, True)
        apart = op.concat([self.batch, _ints([shape.heads]), self.new, self.all], 0)
        scores = op.softmax(op.add(op.reshape(scores, apart, False), self.mask), -1)
        again = op.concat([self.batch, kv_heads, _ints([-1]), self.all], 0)
        y = op.matmul(op.reshape(scores, again, False), values, False, False)
        y = op.reshape(y, op.concat([self.batch, _ints([shape.heads]), self.new, size], 0), False)
        width = shape.heads * shape.head_size
        y = op.reshape(op.transpose(y, _ints([0, 2, 1, 3])), _ints([0, 0, width]), True)
        return self.linear(f"{block}.attn_output", y)

    def remember(self, name: str, new: Any) -> Any:
        """Return what a KV cache and the new tokens hold together; the new ones are a result too."""
        op = openvino_runtime().opset13
        past = op.parameter([-1, self.shape.kv_heads, -1, self.shape.head_size], np.float32)
        past.output(0).set_names({f"past.{name}"})
        result = op.result(new)
        result.output(0).set_names({f"new.{name}"})
        self.past.append(past)
        self.added.append(result)
        return op.concat([past, new], 2)

    def mlp(self, block: str, x: Any) -> Any:
        op = openvino_runtime().opset13
        x = self.norm(f"{block}.ffn_norm", x)
        gate = op.swish(self.linear(f"{block}.ffn_gate", x))
        return self.linear(
            f"{block}.ffn_down", op.multiply(gate, self.linear(f"{block}.ffn_up", x))
        )
