"""The OpenVINO engine: models of Llama's form, read at the speed of the processor that is there.

What is read when is decided in ``in_process.py``; what the model is, in ``openvino_files.py`` and ``openvino_graph.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mene.engines.cores import physical_cores
from mene.engines.in_process.engine import InProcessEngine
from mene.engines.openvino.runtime import openvino_runtime
from mene.errors import ModelError
from mene.weights.gguf_header import context_of

# Rows that write critiques at once. More are not faster by much, and the first ones would be long in coming.
ROWS = 16


class OpenVINOEngine(InProcessEngine):
    """Runs a model of Llama's form (Llama, Mistral, SmolLM2, Qwen2, Qwen3) on this machine's processor.

    Args:
        path: a GGUF file, or a folder of Transformers (``config.json``, ``*.safetensors``, ``tokenizer.json``).
        adapter: a LoRA adapter as GGUF, or a folder of PEFT; computed beside the weights, exactly.
        context: tokens per prompt and answer; default: what the model was trained on, at most 8192.
        threads: default: one per physical core.
        batch_tokens: most tokens, padding included, that are computed at once.
        rows: most rows that write critiques at once; default: `ROWS`.
        tell: called with one line about what takes long: the model is prepared once (``openvino_prepare.py``).

    Raises:
        ModelError: OpenVINO is not installed, or the file is missing, damaged, or of a form that it does not know.
    """

    def __init__(
        self,
        path: Path,
        *,
        adapter: Path | None = None,
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

        identity = facts_of(path, adapter).identity
        prepared = prepare(path, adapter, tell)
        model = OpenVINOModel(prepared, identity, threads or physical_cores())
        limit = context_of(context, prepared.feed.context)
        super().__init__(model, batch_tokens=batch_tokens, context=limit, rows=rows or ROWS)
