"""An adapter between the one that a run started from and the one that it ended with.

A training on few kinds of rows makes a judge better at these and worse at others. Part of the way keeps much of the first, and
loses less of the second (Wortsman et al. 2022, arXiv 2109.01903, section 3: weights interpolated linearly).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mene.errors import UsageError
from mene.export.base import Base
from mene.export.finished import Finished, begun
from mene.train.adapter import factors_of, start_of, weights_of
from mene.weights.cache import sha256
from mene.weights.peft import CONFIG, WEIGHTS


def check_between(done: Finished, share: float) -> None:
    """Check that a run has a beginning to go back to.

    Args:
        share: of the way from its start, 0 to 1.

    Raises:
        UsageError: it started from no adapter, or that adapter is another one now.
    """
    if not 0 < share <= 1:
        raise UsageError(f"--share {share:g}: give a number above 0, and 1 at most")
    adapter = done.recipe.adapter
    if share == 1:
        return
    if adapter is None or not adapter.start:
        raise UsageError(
            f"{done.folder}: started from no adapter, so there is no way between; leave out --share"
        )
    if sha256(weights_of(start_of(adapter.start))) != begun(done.folder).get("start"):
        raise UsageError(
            f"{done.folder}: the adapter that it started from, {adapter.start}, has changed since; leave out --share, or "
            "bring the old one back"
        )


@contextmanager
def between(done: Finished, base: Base, share: float) -> Iterator[Finished]:
    """Yield the run with the weights ``share`` of the way from its start: (1 - share) × start + share × end, factor by factor.

    The factors of a product are averaged, not the product; a run that starts from an adapter stays near it, and the two agree
    to the second order of their difference.

    Args:
        share: 0 to 1; 1 yields the run as it is.
    """
    if share == 1:
        yield done
        return
    import numpy as np
    from safetensors.numpy import load_file, save_file

    end = load_file(done.weights / WEIGHTS)
    start = _start_of(done, base, end)
    mean = {
        name: ((1 - share) * start[name] + share * values).astype(np.float32)
        for name, values in end.items()
    }
    with TemporaryDirectory(prefix="mene-between-") as folder:
        save_file(mean, Path(folder) / WEIGHTS, metadata={"format": "pt"})
        shutil.copyfile(done.weights / CONFIG, Path(folder) / CONFIG)
        yield replace(done, weights=Path(folder))


def _start_of(done: Finished, base: Base, end: dict[str, Any]) -> dict[str, Any]:
    """Return the factors that a run started from, by PEFT's names."""
    assert done.recipe.adapter is not None and done.recipe.adapter.start
    start = start_of(done.recipe.adapter.start)
    queries = next(len(v) for k, v in end.items() if k.endswith("q_proj.lora_B.weight"))
    return factors_of(start, end, queries // base.facts.architecture.heads).weights
