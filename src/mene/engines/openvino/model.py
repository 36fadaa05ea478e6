"""A ``FedModel`` that OpenVINO runs."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from threading import Event

from mene.engines.base import Reading
from mene.engines.openvino.compile import compiled
from mene.engines.openvino.dtype import Dtype
from mene.engines.openvino.prepare import Prepared
from mene.engines.openvino.run import Runner
from mene.engines.openvino.state import OpenVINOState, Progress
from mene.engines.transformers.cpu import give_back_memory, keep_memory
from mene.errors import ModelError
from mene.weights.chat import ChatTemplate

# Largest useful number of prefix tree nodes read at once.
TREE_NODES = 512


class OpenVINOModel:
    """A ``FedModel`` on OpenVINO. Several threads may feed their own states; they compute one after the other.

    Args:
        prepared: the prepared model on disk.
        identity: see ``Engine``.
        threads: cores to compute on.
        dtype: the number format to compute in.

    Raises:
        ModelError: OpenVINO cannot load it.
    """

    sliding_window: int | None = None
    trees = True
    tree_nodes: int | None = TREE_NODES

    def __init__(
        self, prepared: Prepared, identity: str, threads: int, dtype: Dtype = "float32"
    ) -> None:
        feed = prepared.feed
        self.identity = identity
        self.context: int | None = feed.context
        self.control_tokens = feed.control_tokens
        self.stops = feed.stops
        self._begin = feed.begin
        self._tokenizer = feed.tokenizer
        try:
            self.chat = ChatTemplate(feed.template, feed.texts)
        except ValueError as error:
            raise ModelError(
                f"{prepared.graph}: its chat template cannot be read: {error}"
            ) from None
        self._progress = Progress()
        # KV caches are made and freed in blocks of some megabytes.
        keep_memory()
        self._run: Runner | None = Runner(compiled(prepared.graph, threads, dtype))

    @property
    def reading(self) -> Reading | None:
        """See ``FedModel``."""
        return self._progress.reading

    def ids(self, text: str) -> list[int]:
        """See ``FedModel``."""
        self._tokenizer.encode_special_tokens = False
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids if self._begin is None or ids[:1] == [self._begin] else [self._begin, *ids]

    def tokenize(self, text: str) -> list[int]:
        """See ``FedModel``."""
        self._tokenizer.encode_special_tokens = True
        return self._tokenizer.encode(text, add_special_tokens=False).ids

    def decode(self, tokens: Sequence[int]) -> str:
        """See ``FedModel``."""
        return self._tokenizer.decode(list(tokens), skip_special_tokens=True)

    def empty(self, rows: int, stop: Event | None = None, adapter: int | None = 0) -> OpenVINOState:
        """See ``FedModel``."""
        if self._run is None:
            raise ModelError("this judge was closed; open a new one")
        return OpenVINOState.empty(self._run, rows, self._progress, stop, adapter)

    def out_of_memory(self, error: Exception) -> bool:
        """See ``FedModel``."""
        text = str(error).lower()
        return isinstance(error, MemoryError) or "bad_alloc" in text or "allocate" in text

    def free_memory(self) -> None:
        """See ``FedModel``."""
        gc.collect()
        give_back_memory()

    def close(self) -> None:
        """See ``FedModel``."""
        self._run = None
        give_back_memory()
