"""Which requests are pulled together, and which rows are computed together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from mene.engines.base import Request
from mene.engines.in_process.fed import FedModel
from mene.engines.in_process.row import Row
from mene.engines.in_process.tree import common_start, packs
from mene.engines.steps import RESERVE

# Requests pulled at once, so that they share prefixes, and rows of similar length share a batch.
WINDOW = 256
# A batch's KV cache holds at most this many times ``batch_tokens``, including the shared prefix.
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
    """Return whether rows are read as prefix trees: in verdict mode, by a model that accepts an attention mask."""
    window = model.sliding_window
    return (
        model.trees
        and not rows[0].room
        and (window is None or max(len(row.ids) for row in rows) + RESERVE <= window)
    )


def batches(
    rows: Sequence[Row], shared: int, model: FedModel, batch_tokens: int, most: int | None = None
) -> Iterator[list[Row]]:
    """Divide rows of one kind into batches, or into trees that are read one after the other (``read_in_tree``).

    Args:
        shared: length of their common prefix that is computed already.
        batch_tokens: maximum number of tokens computed at once, including padding.
        most: maximum number of rows in a batch; None = limited by memory only.
    """
    if in_trees(rows, model):
        nodes = min(batch_tokens, model.tree_nodes or batch_tokens)
        for pack in packs([row.ids[shared:] for row in rows], nodes, chained=True):
            yield [rows[i] for i in pack]
    else:
        yield from _by_length(rows, shared, model.sliding_window, batch_tokens, most or len(rows))


def _by_length(
    rows: Sequence[Row], shared: int, window: int | None, batch_tokens: int, most: int
) -> Iterator[list[Row]]:
    """Group rows of similar length, the longest first."""
    batch: list[Row] = []
    for row in sorted(rows, key=lambda row: -len(row.ids)):
        size = len(batch) + 1
        length = len((batch or [row])[0].ids)
        room = max(other.room for other in [*batch, row])
        # A sliding window counts places of the KV cache, including padding, so rows that exceed the window
        # must have no padding.
        alone = window is not None and length + room + RESERVE > window
        if batch and (
            alone
            or size > most
            or size * (length - shared) > batch_tokens
            or size * (length + room) > KV_FACTOR * batch_tokens
        ):
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch
