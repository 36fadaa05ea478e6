"""A model loaded by Transformers, as a ``FedModel``: tokens, templates, memory."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Event
from typing import Any

from mene.engines.transformers.state import State
from mene.errors import ModelError
from mene.weights.chat import laid_out

# Nodes of a prefix tree on a CPU. All attend to all, whatever the mask: 512 are read 1.4 times as fast as 1,024.
TREE_NODES = 512


@dataclass(slots=True)
class Loaded:
    """A ``FedModel`` of PyTorch.

    Attributes:
        model: None once closed.
        begin: begin-of-text token, where the tokeniser adds one; else None.
        pad: any token; it is always masked.
        stops: tokens that end a turn.
        sliding_window: attention window of some layers in tokens; None: unlimited.
        trees: whether prompts can be read as a prefix tree, which needs custom positions and masks.
        accepts: argument names of the model's ``forward``.
        merged: whether an adapter is merged into the weights.
    """

    model: Any
    tokenizer: Any
    identity: str
    device: str
    context: int | None
    control_tokens: frozenset[str]
    stops: frozenset[int]
    begin: int | None
    pad: int
    sliding_window: int | None
    trees: bool = False
    accepts: frozenset[str] = field(default_factory=frozenset)
    merged: bool = False

    @property
    def reading(self) -> None:
        """See ``FedModel``. A prompt is read in one pass, without progress."""

    @property
    def tree_nodes(self) -> int | None:
        return TREE_NODES if self.device == "cpu" else None

    def optional(self, **arguments: Any) -> dict[str, Any]:
        """Return the arguments that this model accepts."""
        return {name: value for name, value in arguments.items() if name in self.accepts}

    def chat(self, messages: list[dict[str, str]]) -> str:
        """Return the messages with the chat template applied and the start of the assistant's turn."""
        return laid_out(messages, self._template if self.tokenizer.chat_template else None)

    def ids(self, text: str) -> list[int]:
        """Return the tokens of a prompt, with the chat template's control tokens recognised."""
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False)
        return ids if self.begin is None or ids[:1] == [self.begin] else [self.begin, *ids]

    def tokenize(self, text: str) -> list[int]:
        """Return the tokens of plain text: nothing added, control tokens not recognised."""
        return self.tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens, without control tokens, with spaces unchanged."""
        return self.tokenizer.decode(
            tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )

    def empty(self, rows: int, stop: Event | None = None, adapter: int | None = 0) -> State:
        """Return a KV cache of ``rows`` rows that have read nothing. Reading cannot be aborted.

        Raises:
            ModelError: the weights are wanted without the adapter, which is merged into them.
        """
        if adapter is None and self.merged:
            raise ModelError(
                "PyTorch merges the adapter into the weights, so it cannot write without the adapter; use the engine llamacpp or "
                "openvino, or `critic: adapter` in the preset"
            )
        return State.empty(self, rows, stop)

    def out_of_memory(self, error: Exception) -> bool:
        # PyTorch has an exception class for GPUs; on the CPU it raises a plain RuntimeError.
        return (
            isinstance(error, MemoryError)
            or type(error).__name__ == "OutOfMemoryError"
            or "can't allocate memory" in str(error)
            or "not enough memory" in str(error)
        )

    def free_memory(self) -> None:
        import torch

        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def close(self) -> None:
        self.model = None
        self.free_memory()

    def _template(self, messages: list[dict[str, str]]) -> str:
        return self.tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True
        )
