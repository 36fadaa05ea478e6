"""A model that Transformers loaded, as the engine feeds it: tokens, templates, memory."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Event
from typing import Any

from mene.engines.transformers.state import State
from mene.errors import ModelError
from mene.weights.chat import laid_out

# Nodes of a prefix tree on a CPU. All of them attend over all, mask or not: 512 are read 1.4 times as fast as 1,024.
TREE_NODES = 512


@dataclass(slots=True)
class Loaded:
    """A ``FedModel`` of PyTorch.

    Attributes:
        model: None once it is closed.
        begin: begin-of-text token, where the tokeniser wants one; else None.
        pad: any token; it is masked wherever it stands.
        stops: tokens that end a turn.
        sliding_window: tokens that some layers look back; None: all of them.
        trees: can prompts be read as one prefix tree? Needs positions and a mask of our own.
        accepts: names of the arguments of the model's ``forward``.
        merged: an adapter is part of the weights.
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
        """See ``FedModel``. A prompt is read in one pass, of which PyTorch tells nothing."""

    @property
    def tree_nodes(self) -> int | None:
        return TREE_NODES if self.device == "cpu" else None

    def optional(self, **arguments: Any) -> dict[str, Any]:
        """Those of the arguments that this model knows."""
        return {name: value for name, value in arguments.items() if name in self.accepts}

    def chat(self, messages: list[dict[str, str]]) -> str:
        """The chat template applied, with the start of the assistant's turn."""
        return laid_out(messages, self._template if self.tokenizer.chat_template else None)

    def ids(self, text: str) -> list[int]:
        """Tokens of a prompt; control tokens of the chat template are recognised in it."""
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False)
        return ids if self.begin is None or ids[:1] == [self.begin] else [self.begin, *ids]

    def tokenize(self, text: str) -> list[int]:
        """Tokens of plain text: nothing added, control tokens not recognised."""
        return self.tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of tokens: control tokens left out, spaces as they stand."""
        return self.tokenizer.decode(
            tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )

    def empty(self, rows: int, stop: Event | None = None, adapted: bool = True) -> State:
        """A KV cache of ``rows`` rows that have read nothing. Reading cannot be broken off.

        Raises:
            ModelError: the weights alone are wanted, and the adapter is merged into them.
        """
        if not adapted and self.merged:
            raise ModelError(
                "PyTorch merges the adapter into the weights, so it cannot write without the adapter; use the engine llamacpp or "
                "openvino, or `critic: adapter` in the preset"
            )
        return State.empty(self, rows, stop)

    def out_of_memory(self, error: Exception) -> bool:
        # PyTorch has a class for GPUs; on the CPU it is a RuntimeError like any other.
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
