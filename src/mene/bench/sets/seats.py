"""Random positions of responses, for publishers that always list the better one first."""

from __future__ import annotations

import hashlib
from typing import Any


def seated(name: str, better: str, worse: str) -> dict[str, Any]:
    """Return the two responses as A and B, by a hash of the row's id, so that the better one is equally often in either
    position."""
    first = hashlib.blake2b(name.encode(), digest_size=1).digest()[0] % 2 == 0
    a, b = (better, worse) if first else (worse, better)
    return {
        "kind": "pairwise",
        "response_a": a or "(empty response)",
        "response_b": b or "(empty response)",
        "label": "A" if first else "B",
        "order": "hashed",
    }
