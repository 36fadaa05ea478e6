"""One forward pass over a pack: the log-probability of every completion in it."""

from __future__ import annotations

from typing import Any

import numpy as np

from mene.engines.transformers_state import additive
from mene.train.examples import Pack


def tensors(pack: Pack) -> dict[str, Any]:
    """What the model and the loss read, with a leading dimension of 1 where a model wants a batch.

    ``input_ids``, ``position_ids`` (1, nodes); ``mask`` (1, 1, nodes, nodes) bool; ``nodes``, ``rows``,
    ``targets``, ``owners``, ``lengths``, ``pairs`` as in ``Pack``.
    """
    import torch

    tree = pack.tree
    whole = {name: torch.from_numpy(getattr(pack, name)) for name in _ARRAYS}
    return {
        "input_ids": torch.tensor([tree.ids]),
        "position_ids": torch.tensor([tree.depths]),
        "mask": torch.from_numpy(tree.mask())[None, None],
        **whole,
    }


_ARRAYS = ("nodes", "rows", "targets", "owners", "lengths", "pairs")


def completion_logps(model: Any, batch: dict[str, Any]) -> Any:
    """Log-probability of each completion, summed over its tokens, float32. Shape (completions,).

    The mask is added to the attention scores: each token attends to the tokens before it in its own sequence.
    """
    import torch

    dtype = model.dtype if model.dtype.is_floating_point else torch.float32
    logits = model(
        input_ids=batch["input_ids"],
        position_ids=batch["position_ids"],
        attention_mask=additive(batch["mask"], dtype),
        logits_to_keep=batch["nodes"],
        use_cache=False,
    ).logits[0]
    logs = logits.float().log_softmax(-1)[batch["rows"], batch["targets"]]
    sums = torch.zeros(len(batch["lengths"]), dtype=logs.dtype, device=logs.device)
    return sums.index_add(0, batch["owners"], logs)


def reference_logps(model: Any, packs: list[Pack], step: Any = lambda: None) -> list[np.ndarray]:
    """``completion_logps`` of every pack under the untrained model, in inference mode.

    Args:
        step: called after each pack.
    """
    import torch

    found = []
    with torch.inference_mode():
        for pack in packs:
            batch = {k: v.to(model.device) for k, v in tensors(pack).items()}
            found.append(completion_logps(model, batch).cpu().numpy())
            step()
    return found
