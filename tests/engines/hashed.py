"""A model whose logits are a hash of the tokens that a row has seen, for tests of the engine that feeds it.

Whatever goes wrong in sharing, cutting, rewinding, padding or trees changes every probability.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Event

import numpy as np

from mene.engines.base import Reading
from mene.engines.in_process.fed import Stopped
from mene.engines.in_process.tree import Tree

BEGIN, END = "<begin>", "<end>"
# Texts of several characters: what was written is read again in other tokens.
MERGED = ("=>", "ab", "\n\n", " a", ". ", "es", " good", "user: ")
TEXTS = (BEGIN, END, *MERGED, *"abdeghinorstuy 01!?.:=><\n")
GARBAGE = -1


@dataclass(slots=True)
class HashedModel:
    """A ``FedModel``.

    Attributes:
        most: tokens at once for which there is memory.
        interruptible: a state whose ``stop`` is set breaks off.
        calls: how often it was fed; ``after`` is called behind each, before it is seen whether to stop.
        computed: tokens that it was fed, padding aside.
    """

    trees: bool = True
    tree_nodes: int | None = None
    sliding_window: int | None = None
    context: int | None = None
    most: int | None = None
    interruptible: bool = True
    after: Event | None = None  # set at call number ``at``
    at: int = 0
    calls: int = 0
    computed: int = 0
    open: bool = True
    identity: str = "hashed"
    control_tokens: frozenset[str] = frozenset({BEGIN, END})
    stops: frozenset[int] = frozenset({1})
    reading: Reading | None = None

    def chat(self, messages: list[dict[str, str]]) -> str:
        if any("!" in message["content"] for message in messages):
            raise ValueError("no exclamations")
        return "".join(f"{m['role']}: {m['content']}\n" for m in messages) + END

    def ids(self, text: str) -> list[int]:
        return [0, *_tokens(text, 0)]

    def tokenize(self, text: str) -> list[int]:
        return _tokens(text, 2)

    def decode(self, tokens: Sequence[int]) -> str:
        """As some tokenisers do, it drops the space of the first token."""
        return "".join(TEXTS[token] for token in tokens if token > 1).removeprefix(" ")

    def empty(self, rows: int, stop: Event | None = None, adapter: int | None = 0) -> HashedState:
        return HashedState(self, [[] for _ in range(rows)], stop, adapter)

    def out_of_memory(self, error: Exception) -> bool:
        return isinstance(error, MemoryError)

    def free_memory(self) -> None:
        pass

    def close(self) -> None:
        self.open = False

    def logits(self, tokens: Sequence[int | None], adapter: int | None = 0) -> np.ndarray:
        """float32 (vocabulary) after a row's places, None for padding; others with another adapter."""
        seen = tokens[-self.sliding_window :] if self.sliding_window else tokens
        position = sum(token is not None for token in tokens)
        mixed = hash(
            (
                position,
                *[7 if adapter is None else 7 + adapter] * (adapter != 0),
                *(token for token in seen if token is not None),
            )
        )
        values = (_EACH ^ np.uint64(mixed % 2**64)) * np.uint64(0xBF58476D1CE4E5B9)
        values = (values ^ (values >> np.uint64(29))) * np.uint64(0x94D049BB133111EB)
        return (values >> np.uint64(40)).astype(np.float32) / np.float32(2**21) + _BIAS

    def compute(self, at_once: int, computed: int, stop: Event | None) -> None:
        self.calls += 1
        if self.after is not None and self.calls == self.at:
            self.after.set()
        if not self.open:
            raise RuntimeError("closed")
        if self.interruptible and stop is not None and stop.is_set():
            raise Stopped
        if self.most is not None and at_once > self.most:
            raise MemoryError
        self.computed += computed


class HashedState:
    """A ``State``: the tokens themselves, None for padding."""

    def __init__(
        self,
        model: HashedModel,
        rows: list[list[int | None]],
        stop: Event | None,
        adapter: int | None,
    ) -> None:
        self.model, self.rows, self.stop, self.adapter = model, rows, stop, adapter

    def lengths(self) -> list[int]:
        return [sum(token is not None for token in row) for row in self.rows]

    def feed(self, tokens: Sequence[Sequence[int]], keep: int = 1) -> np.ndarray:
        assert len(tokens) == len(self.rows)
        width = max(map(len, tokens))
        assert width >= keep
        before = self.rows
        self.rows = [[GARBAGE]]  # until it is known that nothing fails
        self.model.compute(len(tokens) * width, sum(map(len, tokens)), self.stop)
        self.rows = [
            [*row, *[None] * (width - len(new)), *new]
            for row, new in zip(before, tokens, strict=True)
        ]
        found = np.full((len(tokens), keep, len(TEXTS)), np.nan, np.float32)
        for number, row in enumerate(self.rows):
            for back in range(min(keep, len(tokens[number]))):
                found[number, keep - 1 - back] = self.model.logits(
                    row[: len(row) - back], self.adapter
                )
        return found

    def read_tree(
        self, tree: Tree, nodes: Sequence[int], known: int = 0, paths: Sequence[Sequence[int]] = ()
    ) -> tuple[np.ndarray, HashedState | None]:
        [row] = self.rows
        start = row[: len(row) - known]
        assert row[len(start) :] == tree.ids[:known] and tree.depths[:known] == list(range(known))
        assert all(node >= known for node in nodes)
        for path in paths:
            assert [tree.parents[node] for node in path] == [-1, *path][: len(path)]
        count, window = len(tree.ids), self.model.sliding_window
        assert window is None or len(start) + max(tree.depths) < window
        try:
            self.model.compute(count - known, count - known, self.stop)
        except Stopped:
            self.rows = [[GARBAGE]]
            raise
        mask, ids = tree.mask(), np.array(tree.ids)
        assert (mask.sum(1) == np.array(tree.depths) + 1).all()
        rows = ([*start, *ids[mask[node]].tolist()] for node in nodes)
        logits = np.stack([self.model.logits(row, self.adapter) for row in rows])
        if not paths:
            return logits, None
        width = max(map(len, paths))
        read = [
            [*start, *[None] * (width - len(path)), *ids[list(path)].tolist()] for path in paths
        ]
        return logits, HashedState(self.model, read, self.stop, self.adapter)

    def rewind(self, lengths: Sequence[int]) -> None:
        for row, length in zip(self.rows, lengths, strict=True):
            used = [place for place, token in enumerate(row) if token is not None]
            for place in used[length:]:
                row[place] = None
        ends = (i + 1 for row in self.rows for i, t in enumerate(row) if t is not None)
        places = max(ends, default=0)
        self.rows = [row[:places] for row in self.rows]

    def select(self, rows: Sequence[int], more: Sequence[HashedState] = ()) -> HashedState:
        own = [self.rows[row] for row in rows] + [row for state in more for row in state.rows]
        width = max(map(len, own))
        padded = [[*[None] * (width - len(row)), *row] for row in own]
        return HashedState(self.model, padded, self.stop, self.adapter)

    def repeat(self, rows: int) -> HashedState:
        [row] = self.rows
        return HashedState(self.model, [list(row) for _ in range(rows)], self.stop, self.adapter)


def _tokens(text: str, first: int) -> list[int]:
    """The longest token of ``TEXTS[first:]`` at each place."""
    found = []
    while text:
        token = next(t for t in range(first, len(TEXTS)) if text.startswith(TEXTS[t]))
        found.append(token)
        text = text[len(TEXTS[token]) :]
    return found


_EACH = np.arange(len(TEXTS), dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
# Begin-of-text is never written; the cue and the end of the turn are, often enough.
_BIAS = np.array(
    [{BEGIN: -99, END: 2, "=>": 1, "=": 3, ">": 3}.get(t, 0) for t in TEXTS], np.float32
)
