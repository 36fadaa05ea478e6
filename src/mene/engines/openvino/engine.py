"""The OpenVINO engine: runs models of the Llama architecture at the full speed of this machine's processor.

``in_process/engine.py`` decides what is read and when; ``files.py`` and ``graph.py`` build the model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from mene.engines.cores import physical_cores
from mene.engines.in_process.engine import InProcessEngine
from mene.engines.openvino.dtype import Dtype
from mene.engines.openvino.runtime import openvino_runtime
from mene.errors import ModelError
from mene.weights.gguf_header import context_of

# Critiques written at once. More bring little speed and delay the first ones.
ROWS = 16


class OpenVINOEngine(InProcessEngine):
    """Runs a model of the Llama architecture (Llama, Mistral, SmolLM2, Qwen2, Qwen3) on this machine's processor.

    Args:
        path: a GGUF file, or a Transformers folder (``config.json``, ``*.safetensors``, ``tokenizer.json``).
        adapters: LoRA adapters, GGUF files or PEFT folders, as ``Request.adapter`` numbers them; computed beside the weights,
            without rounding into them.
        dtype: the number format to compute in; ``float32`` rounds nothing (``dtype.py``).
        context: maximum number of tokens of prompt and answer; default: what the model was trained on, at most 8192.
        threads: default: one per physical core.
        batch_tokens: maximum number of tokens, including padding, computed at once.
        rows: maximum number of critiques written at once; default: `ROWS`.
        tell: called with one line about slow steps: a model's first use prepares it (``prepare.py``).

    Raises:
        ModelError: OpenVINO is not installed, or the file is missing, damaged, or of an unsupported architecture.
    """

    def __init__(
        self,
        path: Path,
        *,
        adapters: Sequence[Path] = (),
        dtype: Dtype = "float32",
        context: int | None = None,
        threads: int | None = None,
        batch_tokens: int = 2048,
        rows: int | None = None,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        try:
            openvino_runtime()
            import tokenizers  # noqa: F401
        except ImportError as error:
            raise ModelError(
                f"{error.name} is not installed; run: pip install {error.name}, or use the engine llamacpp"
            ) from None
        from mene.engines.openvino.files import facts_of
        from mene.engines.openvino.model import OpenVINOModel
        from mene.engines.openvino.prepare import prepare

        identity = facts_of(path, adapters, dtype).identity
        prepared = prepare(path, adapters, tell, dtype=dtype)
        model = OpenVINOModel(prepared, identity, threads or physical_cores(), dtype)
        limit = context_of(context, prepared.feed.context)
        super().__init__(model, batch_tokens=batch_tokens, context=limit, rows=rows or ROWS)
