"""What an engine inside this process feeds: a model, and what a batch of it has read.

``in_process.py`` decides what is read when; behind these two Protocols it becomes numbers. Nothing here names a
library: tokens go in, logits come out as numpy arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from threading import Event
from typing import Protocol

import numpy as np

from mene.engines.base import Reading
from mene.engines.in_process.tree import Tree


class Stopped(Exception):
    """A state's ``stop`` was set while it read. The state is not to be used again."""


class FedModel(Protocol):
    """A causal language model with its tokeniser and its chat template.

    Texts (``chat``, ``ids``, ``tokenize``, ``decode``) are asked for by one thread at a time. States are fed by several
    at once, each its own: a model that computes for one thread only has a lock inside.

    Attributes:
        identity: see ``Engine``.
        context: tokens that fit in one prompt and its completion; None if unknown.
        control_tokens: see ``Engine``.
        stops: tokens that end a turn.
        sliding_window: tokens that some layers look back, padding counted; None: all of them.
        trees: can prompts be read as one prefix tree (``State.read_tree``)?
        tree_nodes: most nodes of a tree that are worth reading at once; None: no limit of its own.
        reading: see ``reading_of``; None where it does not tell.
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
        """The chat template applied, with the start of the assistant's turn and no thought open in it (``chat.laid_out``).

        May raise whatever the template does.
        """
        ...

    def ids(self, text: str) -> list[int]:
        """Tokens of a prompt: begin-of-text included, control tokens recognised."""
        ...

    def tokenize(self, text: str) -> list[int]:
        """Tokens of plain text: nothing added, control tokens not recognised."""
        ...

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of tokens: control tokens left out, spaces as they stand."""
        ...

    def empty(self, rows: int, stop: Event | None = None, adapted: bool = True) -> State:
        """A state of ``rows`` rows that have read nothing.

        Args:
            adapted: read with the adapter, where the model has one; False: with the weights alone.
        """
        ...

    def out_of_memory(self, error: Exception) -> bool:
        """Whether ``error``, raised by a state, says that memory ran out: less at once may then do."""
        ...

    def free_memory(self) -> None:
        """Give back what a failed batch left behind."""
        ...

    def close(self) -> None:
        """Free the model; twice is fine.

        Another thread may be feeding a state: that may end well or raise anything, and the state may even go on. A state
        made later raises, at the latest when it is fed.
        """
        ...


class State(Protocol):
    """What the rows of a batch have read.

    Rows that are fed tokens of different number are padded on the left, so a row's tokens are some of the state's places, in
    order, with gaps.

    Attributes:
        stop: where it is set, ``feed`` and ``read_tree`` may break off and raise ``Stopped``. A state made by ``select``
            or ``repeat`` has that of its origin; it may be assigned anew between two calls.
        places: of each row, padding included.
    """

    stop: Event | None

    @property
    def places(self) -> int: ...

    def lengths(self) -> list[int]:
        """Tokens that each row has read."""
        ...

    def feed(self, tokens: Sequence[Sequence[int]], keep: int = 1) -> np.ndarray:
        """Read more tokens, any number (or none) per row, but not none for all.

        Where it fails, the state is not to be used again.

        Returns:
            float32 logits (rows, keep, vocabulary) after each row's last ``keep`` tokens; meaningless for places
            where a row got no token.
        """
        ...

    def read_tree(
        self, tree: Tree, nodes: Sequence[int], known: int = 0, path: Sequence[int] = ()
    ) -> tuple[np.ndarray, State | None]:
        """Read a tree that grows from what this state's only row has read, and forget it again.

        It is forgotten too where this fails for want of memory: the state is then as it was before.

        Args:
            nodes: in any order, none twice, and none of the ``known`` ones.
            known: that many nodes, the first ones, have been read already: they are this state's last places, and the tree
                grows from what stands before them.
            path: nodes from the start of the tree on, each the next one's parent.

        Returns:
            float32 logits (nodes, vocabulary) after each of ``nodes``; and, where there is a ``path``, a state that has read
            what this tree grows from, and the path.
        """
        ...

    def cut(self, places: int) -> None:
        """Forget all places after the first ``places``; nothing happens where there are no more."""
        ...

    def rewind(self, lengths: Sequence[int]) -> None:
        """Forget all of each row but its first ``lengths`` tokens. A row alone has no gaps then."""
        ...

    def select(self, rows: Sequence[int]) -> State:
        """A new state of some of the rows, in this order; this one stays as it is."""
        ...

    def repeat(self, rows: int) -> State:
        """A new state of ``rows`` times this one's only row; this one stays as it is."""
        ...
