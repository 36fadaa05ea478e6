"""The Transformers engine: any causal language model that the package ``transformers`` can load.

``in_process/engine.py`` decides what is read and when; ``model.py`` loads the model.
"""

from __future__ import annotations

from mene.engines.in_process.engine import InProcessEngine
from mene.engines.transformers.model import load


class TransformersEngine(InProcessEngine):
    """Runs a causal language model with PyTorch, on the CPU or one GPU.

    Args:
        model: a folder, a model id of the Hugging Face hub, or a ``.gguf`` file (dequantised).
        revision: branch, tag or commit on the hub.
        adapter: a PEFT adapter, folder or hub id.
        dtype: ``float32``, ``bfloat16`` or ``float16``; default float32 on the CPU, else bfloat16.
            Logits are float32 always.
        device: ``cpu``, ``cuda``, ``cuda:1``, ``mps``; default ``cuda`` if there is one.
        batch_tokens: maximum number of tokens, including padding, computed at once.
        context: maximum number of tokens of prompt and answer; default: what the model was trained on.

    Raises:
        ModelError: packages or weights are missing, or the model cannot be loaded.
    """

    def __init__(
        self,
        model: str,
        *,
        revision: str | None = None,
        adapter: str | None = None,
        dtype: str | None = None,
        device: str | None = None,
        batch_tokens: int = 4096,
        context: int | None = None,
    ) -> None:
        loaded = load(model, revision, adapter, dtype, device)
        super().__init__(loaded, batch_tokens=batch_tokens, context=context)
