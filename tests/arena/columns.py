"""Votes as columns, for the tests."""

from __future__ import annotations

from typing import Any

import numpy as np

from mene.arena.ballots import Ballots


def ballots(a: Any, b: Any, choice: Any, voter: Any, lengths: Any = None, **fields: Any) -> Ballots:
    """Votes as columns, each on a sample of its own."""
    n = len(a)
    names = [f"judge {i}" for i in range(int(max(np.max(a), np.max(b))) + 1)]
    style = np.zeros((n, 2, 6), np.int64)
    if lengths is not None:
        style[:, :, 0] = lengths
    zeros, pairs = np.zeros(n, np.int64), np.zeros((n, 2), np.int64)
    given: dict[str, Any] = {
        "judges": names, "presets": [""], "criteria": ["polite"], "kinds": ["nominal"],
        "samples": [str(i) for i in range(n)], "voters": [f"v{i}" for i in range(int(np.max(voter)) + 1)],
        "battles": [f"b{i}" for i in range(n)], "a": np.asarray(a), "b": np.asarray(b), "preset_a": zeros,
        "preset_b": zeros, "criterion": zeros, "kind": zeros, "sample": np.arange(n), "choice": np.asarray(choice),
        "voter": np.asarray(voter), "at": np.arange(n), "leaks": zeros, "own": pairs - 1, "style": style,
        "milliseconds": pairs, "tokens_in": pairs, "tokens_out": pairs,
    }  # fmt: skip
    return Ballots(**{**given, **fields})
