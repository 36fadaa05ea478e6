"""What is compared: one entry per way of running a model, and what each needs before it can run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

F32 = {"INFERENCE_PRECISION_HINT": "f32"}
EXACT = {**F32, "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0}
# The processor plugin keeps keys and values in 8 bits unless told otherwise.
EXACT_KV = {**EXACT, "KV_CACHE_PRECISION": "f32"}


@dataclass(frozen=True)
class Candidate:
    """One way of running a model.

    Attributes:
        name: as in the table and after ``--only``.
        module: the file beside this one that speaks to the library.
        env: virtual environment under the work folder; empty for the one this script runs in.
        packages: what pip installs into it, and what counts as the size of the install.
        form: folder of the model it reads, made by ``prepare.py``.
        settings: handed to the module as they are.
        licence: of the library.
        note: what a reader should know beside the figures.
    """

    name: str
    module: str
    env: str
    packages: tuple[str, ...]
    form: str
    licence: str
    settings: dict[str, Any] = field(default_factory=dict)
    note: str = ""


OPENVINO = ("openvino", "openvino-genai")
ONNX = ("onnxruntime", "onnxruntime-genai")
APACHE, MIT, BSD = "Apache-2.0", "MIT", "BSD-3-Clause"

CANDIDATES = (
    Candidate("llama.cpp wheel", "on_llamacpp", "", ("xllamacpp",), "gguf", MIT),
    Candidate(
        "llama.cpp native",
        "on_llamacpp",
        "",
        (),
        "gguf",
        MIT,
        {"server": "llama-native/bin/llama-server"},
        "the same source, from the wheel's sdist, compiled here with GGML_NATIVE=ON",
    ),
    Candidate(
        "mene",
        "on_mene",
        "",
        ("openvino", "tokenizers"),
        "gguf",
        APACHE,
        note="the engine openvino of mene: a graph of its own from the GGUF file, float32, nothing rounded on the way",
    ),
    Candidate(
        "mene, int8",
        "on_mene",
        "",
        ("openvino", "tokenizers"),
        "gguf",
        APACHE,
        {"dtype": "int8"},
        "the same with `dtype: int8`: activations are rounded to 8 bits",
    ),
    Candidate(
        "mene, bfloat16",
        "on_mene",
        "",
        ("openvino", "tokenizers"),
        "gguf",
        APACHE,
        {"dtype": "bfloat16"},
        "the same with `dtype: bfloat16`: the products with weights are bfloat16, for AMX",
    ),
    Candidate("OpenVINO", "on_openvino", "openvino", OPENVINO, "openvino", APACHE),
    Candidate("OpenVINO f32", "on_openvino", "openvino", OPENVINO, "openvino", APACHE, F32),
    Candidate("OpenVINO exact", "on_openvino", "openvino", OPENVINO, "openvino", APACHE, EXACT),
    Candidate(
        "OpenVINO exact, f32 cache",
        "on_openvino",
        "openvino",
        OPENVINO,
        "openvino",
        APACHE,
        EXACT_KV,
    ),
    Candidate("GenAI", "on_openvino_genai", "openvino", OPENVINO, "openvino", APACHE),
    Candidate("GenAI f32", "on_openvino_genai", "openvino", OPENVINO, "openvino", APACHE, F32),
    Candidate("GenAI exact", "on_openvino_genai", "openvino", OPENVINO, "openvino", APACHE, EXACT),
    Candidate("ONNX int8", "on_onnx", "onnx", ONNX, "onnx-int8", MIT),
    Candidate("ONNX int4", "on_onnx", "onnx", ONNX, "onnx-int4", MIT),
    Candidate(
        "CTranslate2 int8", "on_ctranslate2", "ctranslate2", ("ctranslate2",), "ct2-int8", MIT
    ),
    Candidate(
        "PyTorch float32",
        "on_torch",
        "",
        ("torch", "transformers"),
        "transformers",
        BSD,
        {"dtype": "float32"},
    ),
    Candidate(
        "PyTorch bfloat16",
        "on_torch",
        "",
        ("torch", "transformers"),
        "transformers",
        BSD,
        {"dtype": "bfloat16"},
    ),
    Candidate(
        "PyTorch int8",
        "on_torch",
        "",
        ("torch", "transformers"),
        "transformers",
        BSD,
        {"dtype": "int8"},
    ),
)
