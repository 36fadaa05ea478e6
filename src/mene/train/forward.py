"""One forward pass over a pack: the log-probability of every completion in it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from peft import PeftModel
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, create_block_mask
from transformers import PreTrainedModel

from mene.engines.transformers.state import additive
from mene.train.examples import Pack

Model = PreTrainedModel | PeftModel  # a causal model, with or without an adapter
Batch = dict[str, Tensor]  # see ``tensors``
# Converts a pack to the model's input: ``tensors``, or ``Lower.tensors``.
Read = Callable[[Pack], Batch]
FLEX = "flex_attention"  # its name in Transformers
_ARRAYS = ("nodes", "rows", "targets", "owners", "lengths", "compared")


def tensors(pack: Pack, room: int = 1) -> Batch:
    """Return the input of the model and the loss, with a leading batch dimension of 1 where the model needs one.

    Args:
        room: the nodes are padded to a multiple of this, with nodes that only attend to themselves.

    Returns:
        ``input_ids``, ``position_ids`` (1, nodes); ``ends`` (nodes,) as ``Tree.ends``; ``nodes``, ``rows``, ``targets``,
        ``owners``, ``lengths``, ``compared`` as in ``Pack``.
    """
    tree = pack.tree
    count = len(tree.ids)
    more = -count % room
    whole = {name: torch.from_numpy(getattr(pack, name)) for name in _ARRAYS}
    return {
        "input_ids": torch.tensor([tree.ids + [0] * more]),
        "position_ids": torch.tensor([tree.depths + [0] * more]),
        "ends": torch.cat([torch.from_numpy(tree.ends()), torch.arange(count, count + more) + 1]),
        **whole,
    }


def logits_of(model: Model, batch: Batch) -> Tensor:
    """Return the logits of a pack's ``nodes``. Shape (nodes, vocabulary).

    Each token attends to the tokens before it in its own sequence. With ``hidden`` (1, nodes, width) in the batch, computation
    begins after the lower layers (``train/lower.py``).
    """
    dtype = model.dtype if model.dtype.is_floating_point else torch.float32
    start = (
        {"inputs_embeds": batch["hidden"]}
        if "hidden" in batch
        else {"input_ids": batch["input_ids"]}
    )
    ends = batch["ends"]
    return model(
        **start,
        position_ids=batch["position_ids"],
        attention_mask=block_mask(ends) if is_flexible(model) else added_mask(ends, dtype),
        logits_to_keep=batch["nodes"],
        use_cache=False,
    ).logits[0]


def is_flexible(model: Model) -> bool:
    """Return whether a model's attention is FlexAttention (``gpu.prepare``)."""
    return model.config._attn_implementation == FLEX


def added_mask(ends: Tensor, dtype: torch.dtype) -> Tensor:
    """Return a mask to add to the attention scores. Shape (1, 1, nodes, nodes)."""
    nodes = torch.arange(len(ends), device=ends.device)
    return additive(((nodes <= nodes[:, None]) & (nodes[:, None] < ends))[None, None], dtype)


def block_mask(ends: Tensor) -> BlockMask:
    """Return a mask for FlexAttention (Dong et al. 2024, arXiv 2412.05496), which skips the blocks between samples."""

    def attends(_: Tensor, __: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return (key <= query) & (query < ends[key])

    return create_block_mask(attends, None, None, len(ends), len(ends), device=str(ends.device))


def completion_logps(model: Model, batch: Batch) -> Tensor:
    """Return the log-probability of each completion, summed over its tokens, float32. Shape (completions,)."""
    logs = logits_of(model, batch).float().log_softmax(-1)[batch["rows"], batch["targets"]]
    sums = torch.zeros(len(batch["lengths"]), dtype=logs.dtype, device=logs.device)
    return sums.index_add(0, batch["owners"], logs)


def reference_logps(
    model: Model, packs: list[Pack], step: Callable[[], None] = lambda: None, read: Read = tensors
) -> list[np.ndarray]:
    """Return ``completion_logps`` of every pack under the untrained model, in inference mode.

    Args:
        step: called after each pack.
        read: converts a pack to the model's input.
    """
    found = []
    with torch.inference_mode():
        for pack in packs:
            batch = {k: v.to(model.device) for k, v in read(pack).items()}
            found.append(completion_logps(model, batch).cpu().numpy())
            step()
    return found
