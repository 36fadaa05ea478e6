"""What PyTorch leaves undone on a CPU in bfloat16: attention as large matrix products, and memory that is kept.

Nothing here changes what is computed, beyond the rounding of bfloat16. ``benchmarks/cpu.py`` measures both.
"""

from __future__ import annotations

import contextlib
import ctypes
import sys
from typing import Any

NAME = "mene_cpu"  # of the attention, among those of Transformers
LEAST = 32  # queries from which large products pay
# Parameters of glibc's mallopt(3) and what they are set to, in bytes.
_MALLOPT = {
    -3: 32 << 20,  # M_MMAP_THRESHOLD, at its highest: smaller blocks come from the heap
    -1: 0x7FFFFFFF,  # M_TRIM_THRESHOLD: free memory at the heap's end that is not given back
    -2: 64 << 20,  # M_TOP_PAD: grow the heap in steps of this
}


def keep_memory() -> None:
    """Have this process keep the memory that it frees, up to 2 GB, for its next use.

    A layer's intermediate results take some megabytes. glibc gives blocks of that size back to the system when they
    are freed, and gets them again, zeroed page by page, for the next layer. Only Linux with glibc has this switch;
    elsewhere nothing happens.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            mallopt = ctypes.CDLL(None).mallopt
            for parameter, size in _MALLOPT.items():
                mallopt(parameter, size)


def give_back_memory() -> None:
    """Have the system get back what this process has freed. glibc keeps it, for all that it knows for good."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)


def use_attention(network: Any) -> None:
    """Give a model ``attend`` in place of PyTorch's ``scaled_dot_product_attention``."""
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
    """Attention of one layer, as Transformers asks for it.

    PyTorch's kernel for CPUs goes through queries and keys in small blocks, too small for bfloat16 instructions to
    show their speed. Here the scores of all heads that share keys are one matrix product. They are rounded to bfloat16, as in
    the ``eager`` attention of Transformers. What is not a masked prefill in bfloat16 goes to PyTorch's kernel.

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
    # The heads that share a key stand below one another, as one matrix.
    rows = (query * (scaling or width**-0.5)).reshape(batch, groups, each * queries, width)
    scores = torch.matmul(rows, key.transpose(2, 3)).view(batch, groups, each, queries, keys)
    weights = scores.add_(attention_mask[:, :, None]).softmax(-1)
    weights = weights.view(batch, groups, each * queries, keys)
    found = torch.matmul(weights, value).view(batch, heads, queries, value.shape[-1])
    return found.transpose(1, 2).contiguous(), None
