"""How fast one product with packed weights is in OpenVINO, by number format: run on its own, on a quiet machine.

    python benchmarks/engines/products.py

256 tokens times a matrix of 8,960 by 1,536 (the widest of Qwen2.5 1.5B), 8-bit weights with a scale per group. "Error" is
the root mean square of what the format moves, relative to the exact product. Activations have an outlier every 97 numbers.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from mene.engines.cores import physical_cores
from mene.engines.openvino.runtime import openvino_runtime

TOKENS, ROWS, WIDTH, TIMES = 256, 8960, 1536, 25
SHORT = "f32, product bf16"
# Hint, weights per scale, activations per scale (0: not rounded). With ``SHORT`` the product
# alone is bfloat16, weights included, as in mene's own format of that name.
FORMATS = [
    ("f32", 32, 0), ("bf16", 32, 0), (SHORT, 0, 0), ("f32", 32, 32), ("f32", 64, 64), ("f32", 128, 128), ("f32", WIDTH, WIDTH),
]  # fmt: skip


def product(group: int) -> tuple[Any, np.ndarray]:
    """A model of one product, and its matrix in float32."""
    ov = openvino_runtime()
    op, random = ov.opset13, np.random.default_rng(0)
    values = random.integers(-127, 128, (ROWS, WIDTH // group, group)).astype(np.int8)
    scales = (random.random((ROWS, WIDTH // group, 1)) * 0.01 + 0.001).astype(np.float16)
    x = op.parameter([-1, WIDTH], np.float32)
    packed = op.multiply(
        op.convert(op.constant(values), "f32"), op.convert(op.constant(scales), "f32")
    )
    flat = op.reshape(packed, op.constant(np.array([ROWS, WIDTH], np.int64)), False)
    model = ov.Model([op.result(op.matmul(x, flat, False, True))], [x], "product")
    return model, (values * scales.astype(np.float32)).reshape(ROWS, WIDTH)


def short_product() -> tuple[Any, np.ndarray]:
    """The same where the product and its weights are bfloat16."""
    op, matrix = openvino_runtime().opset13, product(32)[1]
    x = op.parameter([-1, WIDTH], np.float32)
    weights = op.convert(op.constant(matrix), "bf16")
    y = op.convert(op.matmul(op.convert(x, "bf16"), weights, False, True), "f32")
    return openvino_runtime().Model([op.result(y)], [x], "product"), matrix


def main() -> None:
    core = openvino_runtime().Core()
    x = np.random.default_rng(1).standard_normal((TOKENS, WIDTH)).astype(np.float32)
    x[:, ::97] *= 8
    table = Table(title=f"{TOKENS} x {WIDTH} x {ROWS}, the fifth best of {TIMES}")
    for name in ("format", "weights a scale", "activations a scale", "ms", "GOP/s", "error"):
        table.add_column(name)
    for hint, group, rounded in FORMATS:
        model, matrix = short_product() if hint == SHORT else product(group)
        settings = {
            "INFERENCE_NUM_THREADS": physical_cores(),
            "INFERENCE_PRECISION_HINT": "f32" if hint == SHORT else hint,
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": rounded,
        }
        request = core.compile_model(model, "CPU", settings).create_infer_request()
        found, right = request.infer([x])[0].copy(), x @ matrix.T
        times = []
        for _ in range(TIMES):
            begun = time.perf_counter()
            request.infer([x])
            times.append(time.perf_counter() - begun)
        best = sorted(times)[4]
        error = float(np.sqrt(((found - right) ** 2).mean() / (right**2).mean()))
        table.add_row(
            hint, str(group or "–"), str(rounded or "–"), f"{best * 1000:.1f}",
            f"{2 * TOKENS * ROWS * WIDTH / best / 1e9:.0f}", f"{error:.4f}",
        )  # fmt: skip
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
