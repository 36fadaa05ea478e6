"""Which requests are pulled together, and which rows are computed together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from mene.engines.base import Request
from mene.engines.in_process.fed import FedModel
from mene.engines.in_process.row import Row
from mene.engines.in_process.tree import common_start, packs
from mene.engines.steps import RESERVE

# Requests pulled at once, so that they share prefixes, and rows of similar length share a batch.
WINDOW = 256
# A batch's KV cache has at most this many times ``batch_tokens`` of prompt and critique, including the shared prefix. While
# rows leave or join, it is there twice.
KV_FACTOR = 8


def windows(requests: Iterable[Request | None]) -> Iterator[list[Request]]:
    """Yield up to ``WINDOW`` requests at a time; fewer after a None, which means that no more are available for now."""
    window: list[Request] = []
    for request in requests:
        if request is not None:
            window.append(request)
        if window and (request is None or len(window) == WINDOW):
            yield window
            window = []
    if window:
        yield window


def shared_start(rows: Sequence[Row]) -> list[int]:
    """Return the tokens that all rows begin with, leaving each row at least one token to compute."""
    common = rows[0].ids[:-1]
    for row in rows[1:]:
        common = common[: common_start(common, row.ids[:-1])]
    return common


def in_trees(rows: Sequence[Row], model: FedModel) -> bool:
    """Return whether rows are read as prefix trees: by a model that accepts an attention mask, within its window."""
    window = model.sliding_window
    return model.trees and (window is None or max(len(row.ids) for row in rows) + RESERVE <= window)


def batches(
    rows: Sequence[Row],
    shared: int,
    model: FedModel,
    batch_tokens: int,
    trees: bool,
    most: int | None = None,
) -> Iterator[list[Row]]:
    """Divide rows of one kind into batches that are read at once, or into trees.

    Args:
        shared: length of their common prefix that is computed already.
        batch_tokens: maximum number of tokens computed at once, including padding.
        trees: see ``in_trees``.
        most: maximum number of rows in a batch of critiques; None = limited by memory only.
    """
    fit = fitting(model, batch_tokens, most)
    if not trees:
        yield from _by_length(rows, shared, batch_tokens, fit)
        return
    nodes = min(batch_tokens, model.tree_nodes or batch_tokens)
    writes = rows[0].room > 0
    # Trees of verdicts go on from the one before (``read_in_tree``); those of critiques do not.
    found = packs([row.ids[shared:] for row in rows], nodes, chained=not writes)
    groups = ([rows[i] for i in pack] for pack in found)
    if not writes:
        yield from groups
        return
    # Rows that are written together are padded to the longest.
    for group in sorted(groups, key=lambda group: -max(len(row.ids) for row in group)):
        yield from _that_fit(group, fit)


def fitting(
    model: FedModel, batch_tokens: int, most: int | None
) -> Callable[[Sequence[Row]], bool]:
    """Return a function that tells whether rows may share a KV cache; arguments as in ``batches``."""

    def fit(rows: Sequence[Row]) -> bool:
        if len(rows) == 1:
            return True
        if most is not None and len(rows) > most:
            return False
        longest = max(len(row.ids) for row in rows) + max(row.room for row in rows)
        # A sliding window counts places of the KV cache, including padding, so rows that exceed the window must have no
        # padding.
        window = model.sliding_window
        small = window is None or longest + RESERVE <= window
        return small and len(rows) * longest <= KV_FACTOR * batch_tokens

    return fit


def _that_fit(rows: Sequence[Row], fit: Callable[[Sequence[Row]], bool]) -> Iterator[list[Row]]:
    batch: list[Row] = []
    for row in rows:
        if batch and not fit([*batch, row]):
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def _by_length(
    rows: Sequence[Row], shared: int, batch_tokens: int, fit: Callable[[Sequence[Row]], bool]
) -> Iterator[list[Row]]:
    """Group rows of similar length, the longest first."""

    def fits(batch: Sequence[Row]) -> bool:
        return fit(batch) and len(batch) * (len(batch[0].ids) - shared) <= batch_tokens

    yield from _that_fit(sorted(rows, key=lambda row: -len(row.ids)), fits)
