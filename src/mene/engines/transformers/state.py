"""The state of a Transformers batch: KV cache, padding, positions. See ``fed.State``.

The only file that calls the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from threading import Event
from typing import TYPE_CHECKING, Any

import numpy as np

from mene.engines.in_process.tree import Tree

if TYPE_CHECKING:
    from mene.engines.transformers.loaded import Loaded

# Tree nodes that a CPU reads at once. They attend to everything read before and to each other, whatever the mask, so
# smaller pieces waste less, until the matrices become too small.
CPU_CHUNK = 512


class State:
    """What a batch has read: a KV cache, and which of its places each row uses.

    Rows are padded on the left each time they are fed, so a row's tokens are the used places in
    order, with gaps; positions count the used places only.

    Attributes:
        used: (rows, places) bool.
    """

    def __init__(self, loaded: Loaded, cache: Any, used: Any, stop: Event | None = None) -> None:
        self.loaded, self.cache, self.used, self.stop = loaded, cache, used, stop

    @classmethod
    def empty(cls, loaded: Loaded, rows: int, stop: Event | None = None) -> State:
        import torch
        import transformers

        used = torch.zeros((rows, 0), dtype=torch.bool, device=loaded.device)
        # Without a config, every layer keeps all places, also with sliding windows; masks do the rest.
        return cls(loaded, transformers.DynamicCache(), used, stop)

    def lengths(self) -> list[int]:
        """Return the number of tokens that each row has in the cache."""
        return self.used.sum(1).tolist()

    def feed(self, tokens: Sequence[Sequence[int]], keep: int = 1) -> np.ndarray:
        """Read more tokens: any number per row, including none.

        Returns:
            float32 logits (rows, keep, vocabulary) after each row's last ``keep`` tokens; undefined for a row without tokens.
        """
        import torch

        width = max(map(len, tokens))
        pad = self.loaded.pad
        ids = [[pad] * (width - len(row)) + list(row) for row in tokens]
        real = [[False] * (width - len(row)) + [True] * len(row) for row in tokens]
        device = self.loaded.device
        fresh = torch.tensor(real, device=device)
        positions = self.used.sum(1, keepdim=True) + fresh.cumsum(1) - 1
        self.used = torch.cat([self.used, fresh], dim=1)
        with torch.inference_mode():
            output = self.loaded.model(
                input_ids=torch.tensor(ids, device=device),
                attention_mask=self.used.long(),
                use_cache=True,
                **self.loaded.optional(
                    position_ids=positions.clamp(min=0), logits_to_keep=keep, **self._cached()
                ),
            )
        return output.logits[:, -keep:].float().cpu().numpy()

    def read_tree(
        self, tree: Tree, nodes: Sequence[int], known: int = 0, paths: Sequence[Sequence[int]] = ()
    ) -> tuple[np.ndarray, State | None]:
        """See ``State.read_tree``."""
        import torch

        before, count, device = self.used.shape[1], len(tree.ids), self.loaded.device
        start = before - known
        size = count if device != "cpu" else min(count, CPU_CHUNK)
        kept = before > 0 or size < count or bool(paths)
        wanted = np.array(nodes)
        order = wanted.argsort(kind="stable")
        mask = tree.mask()
        found, ahead = [], None
        try:
            for first in range(known, count, size):
                last = min(first + size, count)
                mine = wanted[order][(wanted[order] >= first) & (wanted[order] < last)] - first
                with torch.inference_mode():
                    logits = self.loaded.model(
                        input_ids=torch.tensor([tree.ids[first:last]], device=device),
                        attention_mask=additive(
                            torch.from_numpy(mask[None, None, first:last, :last]).to(device),
                            self.loaded.model.dtype,
                            before=start,
                        ),
                        use_cache=kept,
                        position_ids=torch.tensor([tree.depths[first:last]], device=device) + start,
                        **self.loaded.optional(
                            logits_to_keep=torch.from_numpy(mine).to(device),
                            **(self._cached() if kept else {}),
                        ),
                    ).logits[0]
                found.append(logits if "logits_to_keep" in self.loaded.accepts else logits[mine])
            if paths:
                each = [[*range(start), *(start + node for node in path)] for path in paths]
                ahead = self._gathered([0] * len(each), each, max(map(len, each)))
        finally:
            if kept:
                self._change(lambda values: values[..., :before, :])
        back = torch.from_numpy(order.argsort()).to(device)
        return torch.cat(found)[back].float().cpu().numpy(), ahead

    def _cached(self) -> dict[str, Any]:
        """Return the cache, under this version's name of the argument."""
        name = "cache" if "cache" in self.loaded.accepts else "past_key_values"
        return {name: self.cache}

    def rewind(self, lengths: Sequence[int]) -> None:
        """Forget each row's tokens after the first ones."""
        import torch

        limit = torch.tensor(lengths, device=self.used.device)[:, None]
        self.used = self.used & (self.used.cumsum(1) <= limit)
        # A single row then has no gaps, as sliding windows require.
        places = int(self.used.any(0).nonzero().max()) + 1 if self.used.any() else 0
        self.used = self.used[:, :places]
        self._change(lambda values: values[..., :places, :])

    def select(self, rows: Sequence[int], more: Sequence[State] = ()) -> State:
        """See ``State.select``; the new state has no gaps."""
        import torch

        chosen = [(self, list(rows)), *((other, [*range(len(other.used))]) for other in more)]
        places = [
            [state.used[row].nonzero()[:, 0].tolist() for row in some] for state, some in chosen
        ]
        width = max(len(one) for each in places for one in each)
        parts = [
            state._gathered(some, each, width)
            for (state, some), each in zip(chosen, places, strict=True)
            if some
        ]
        if len(parts) == 1:
            return parts[0]
        state = State.empty(self.loaded, 0, self.stop)
        state.used = torch.cat([part.used for part in parts])
        for number, layers in enumerate(zip(*(part.cache.layers for part in parts), strict=True)):
            keys, values = (
                torch.cat([getattr(layer, name) for layer in layers]) for name in ("keys", "values")
            )
            state.cache.update(keys, values, number)
        return state

    def repeat(self, rows: int) -> State:
        """Return a new state with ``rows`` copies of this state's only row; the cache is copied."""
        return self._copy(
            self.used.expand(rows, -1), lambda values: values.expand(rows, -1, -1, -1)
        )

    def _gathered(self, rows: Sequence[int], places: Sequence[Sequence[int]], width: int) -> State:
        """Return a state with some places of some rows, padded on the left."""
        import torch

        device = self.used.device
        index = [[0] * (width - len(some)) + list(some) for some in places]
        used = [[False] * (width - len(some)) + [True] * len(some) for some in places]
        which, where = (
            torch.tensor(rows, device=device)[:, None],
            torch.tensor(index, device=device),
        )
        return self._copy(
            torch.tensor(used, device=device),
            lambda values: values[which, :, where].transpose(1, 2),
        )

    def _copy(self, used: Any, change: Any) -> State:
        state = State.empty(self.loaded, used.shape[0], self.stop)
        state.used = used
        if used.shape[1]:
            for number, layer in enumerate(self.cache.layers):
                state.cache.update(change(layer.keys), change(layer.values), number)
        return state

    def _change(self, change: Any) -> None:
        # Not `crop`, whose argument differs between versions.
        for layer in self.cache.layers:
            layer.keys, layer.values = change(layer.keys), change(layer.values)


def additive(seen: Any, dtype: Any, before: int = 0) -> Any:
    """Return a mask as an additive one for attention scores, which every attention kernel of Transformers accepts.

    Args:
        seen: bool, (1, 1, nodes, nodes that may be attended to).
        before: number of earlier cache places, which are always attended to.

    Returns:
        (1, 1, nodes, ``before`` + nodes that may be attended to).
    """
    import torch

    shape = (*seen.shape[:-1], before + seen.shape[-1])
    added = torch.zeros(shape, dtype=dtype, device=seen.device)
    added[..., before:].masked_fill_(~seen, torch.finfo(dtype).min)
    return added
