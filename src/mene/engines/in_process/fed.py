"""The interface between an engine inside this process and its library: a model, and the state of a batch.

``engine.py`` decides what is read and when; the implementations of these two Protocols compute it. Nothing here names a
library: token ids go in, logits come out as numpy arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from threading import Event
from typing import Protocol, Self

import numpy as np

from mene.engines.base import Reading
from mene.engines.in_process.tree import Tree


class Stopped(Exception):
    """A state's ``stop`` was set while it read. The state must not be used again."""


class FedModel(Protocol):
    """A causal language model with its tokeniser and its chat template.

    Text functions (``chat``, ``ids``, ``tokenize``, ``decode``) are called by one thread at a time. Several threads feed
    states at once, each its own; a model that can compute for only one thread has its own lock.

    Attributes:
        identity: see ``Engine``.
        context: maximum number of tokens of a prompt and its completion; None if unknown.
        control_tokens: see ``Engine``.
        stops: tokens that end a turn.
        sliding_window: attention window of some layers in tokens, including padding; None: unlimited.
        trees: whether prompts can be read as a prefix tree (``State.read_tree``).
        tree_nodes: largest useful number of tree nodes read at once; None: no limit.
        reading: see ``reading_of``; None where it reports no progress.
    """

    @property
    def identity(self) -> str: ...
    @property
    def context(self) -> int | None: ...
    @property
    def control_tokens(self) -> frozenset[str]: ...
    @property
    def stops(self) -> frozenset[int]: ...
    @property
    def sliding_window(self) -> int | None: ...
    @property
    def trees(self) -> bool: ...
    @property
    def tree_nodes(self) -> int | None: ...
    @property
    def reading(self) -> Reading | None: ...

    def chat(self, messages: list[dict[str, str]]) -> str:
        """Apply the chat template, with the start of the assistant's turn and no thought open in it (``chat.laid_out``).

        May raise whatever the template raises.
        """
        ...

    def ids(self, text: str) -> list[int]:
        """Return the tokens of a prompt, including begin-of-text, with control tokens recognised."""
        ...

    def tokenize(self, text: str) -> list[int]:
        """Return the tokens of plain text: nothing added, control tokens not recognised."""
        ...

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens, without control tokens, with spaces unchanged."""
        ...

    def empty(self, rows: int, stop: Event | None = None, adapter: int | None = 0) -> State:
        """Return a state with ``rows`` rows that have read nothing.

        Args:
            adapter: see ``Request``; without effect where the model has none.
        """
        ...

    def out_of_memory(self, error: Exception) -> bool:
        """Return whether ``error``, raised by a state, means that memory ran out, so that a smaller batch may work."""
        ...

    def free_memory(self) -> None:
        """Release the memory that a failed batch left allocated."""
        ...

    def close(self) -> None:
        """Free the model; may be called twice.

        Another thread may be feeding a state meanwhile; its call may succeed or raise anything, and the state may still work. A
        state that is created later raises, at the latest when it is fed.
        """
        ...


class State(Protocol):
    """What the rows of a batch have read.

    Attributes:
        stop: when it is set, ``feed`` and ``read_tree`` may abort and raise ``Stopped``. States made of others inherit it; it
            may be replaced between two calls.
    """

    stop: Event | None

    def lengths(self) -> list[int]:
        """Return the number of tokens that each row has read."""
        ...

    def feed(self, tokens: Sequence[Sequence[int]], keep: int = 1) -> np.ndarray:
        """Read more tokens: any number per row, including none, but at least one in total.

        After an error, the state must not be used again.

        Returns:
            float32 logits (rows, keep, vocabulary) after each row's last ``keep`` tokens; undefined at places where a row got
            no
            token.
        """
        ...

    def read_tree(
        self, tree: Tree, nodes: Sequence[int], known: int = 0, paths: Sequence[Sequence[int]] = ()
    ) -> tuple[np.ndarray, Self | None]:
        """Read a tree that continues what this state's only row has read, then forget the tree again.

        After running out of memory, the tree is forgotten too: the state is as before the call.

        Args:
            nodes: in any order, each once, without the ``known`` ones.
            known: number of nodes, the first ones, that have been read already: they are what the row has read last, and the
                tree continues what is before them.
            paths: each of them nodes from the start of the tree, each the parent of the next.

        Returns:
            float32 logits (nodes, vocabulary) after each of ``nodes``; and, with ``paths``, a state with a row for each, which
            has read what the tree continues, and the path.
        """
        ...

    def rewind(self, lengths: Sequence[int]) -> None:
        """Forget each row's tokens after its first ``lengths``; without effect on a row that has fewer."""
        ...

    def select(self, rows: Sequence[int], more: Sequence[Self] = ()) -> Self:
        """Return a new state with some of the rows, in this order, and after them all rows of others; these are unchanged."""
        ...

    def repeat(self, rows: int) -> Self:
        """Return a new state with ``rows`` copies of this state's only row; this state is unchanged."""
        ...
