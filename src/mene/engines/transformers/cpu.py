"""Faster bfloat16 on a CPU: attention as large matrix products, and memory that the process keeps.

Results change only within the rounding of bfloat16. ``benchmarks/cpu.py`` measures both.
"""

from __future__ import annotations

import contextlib
import ctypes
import sys
from typing import Any

NAME = "mene_cpu"  # name of the attention in Transformers
LEAST = 32  # number of queries from which large products are faster
# Parameters of glibc's mallopt(3) and what they are set to, in bytes.
_MALLOPT = {
    -3: 32 << 20,  # M_MMAP_THRESHOLD, at its highest: smaller blocks come from the heap
    -1: 0x7FFFFFFF,  # M_TRIM_THRESHOLD: free memory at the heap's end that is not given back
    -2: 64 << 20,  # M_TOP_PAD: grow the heap in steps of this
}


def keep_memory() -> None:
    """Make this process keep freed memory, up to 2 GB, for reuse.

    A layer's intermediate results take some megabytes. By default, glibc returns blocks of that size to the system when they
    are freed, and gets them again, zeroed page by page, for the next layer. Without effect except on Linux with glibc.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            mallopt = ctypes.CDLL(None).mallopt
            for parameter, size in _MALLOPT.items():
                mallopt(parameter, size)


def give_back_memory() -> None:
    """Return freed memory to the system, which glibc would otherwise keep."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)


def use_attention(network: Any) -> None:
    """Make a model use ``attend`` instead of PyTorch's ``scaled_dot_product_attention``."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    network.set_attn_implementation(NAME)


def attend(
    module: Any,
    query: Any,
    key: Any,
    value: Any,
    attention_mask: Any,
    dropout: float = 0.0,
    scaling: float | None = None,
    **more: Any,
) -> tuple[Any, None]:
    """Compute the attention of one layer, with the interface that Transformers requires.

    PyTorch's CPU kernel processes queries and keys in blocks too small for bfloat16 instructions to pay. Here the scores of all
    heads that share keys are one matrix product, rounded to bfloat16 as in the ``eager`` attention of Transformers. Anything
    but a masked prefill in bfloat16 uses PyTorch's kernel.

    Args:
        query: (batch, heads, queries, width).
        key, value: (batch, key-value heads, keys, width).
        attention_mask: added to the scores; (batch or 1, 1, queries, keys).

    Returns:
        (batch, queries, heads, width), and None for the weights.
    """
    import torch
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    batch, heads, queries, width = query.shape
    special = ("position_bias", "softcap", "s_aux")
    if (
        query.dtype != torch.bfloat16
        or queries < LEAST
        or attention_mask is None
        or attention_mask.dtype != torch.bfloat16
        or attention_mask.shape[1] != 1
        or dropout
        or any(more.get(name) is not None for name in special)
    ):
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **more
        )
    groups, keys = key.shape[1], key.shape[2]
    each = heads // groups
    # Heads that share a key are stacked as one matrix.
    rows = (query * (scaling or width**-0.5)).reshape(batch, groups, each * queries, width)
    scores = torch.matmul(rows, key.transpose(2, 3)).view(batch, groups, each, queries, keys)
    weights = scores.add_(attention_mask[:, :, None]).softmax(-1)
    weights = weights.view(batch, groups, each * queries, keys)
    found = torch.matmul(weights, value).view(batch, heads, queries, value.shape[-1])
    return found.transpose(1, 2).contiguous(), None
