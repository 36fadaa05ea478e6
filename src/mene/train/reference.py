"""Log-probabilities under the model before its training, which DPO compares with: computed once, kept in the run's folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from accelerate.utils import gather_object

from mene.events import Events, begin_work
from mene.train.examples import Pack
from mene.train.forward import Model, Read, reference_logps
from mene.train.processes import processes

FILE = "reference.npz"


def references(
    model: Model, packs: list[Pack], output: Path, events: Events, read: Read
) -> list[np.ndarray]:
    """Return the ``completion_logps`` of each pack under a model, each of shape (completions,).

    Of several processes each computes its share, and all get the whole.

    Args:
        output: the run's folder; what an earlier run has stored there is read again.
        events, read: as for ``train``.
    """
    path = output / FILE
    # Machines that share no folder: only the first has the file, and all must take the same way.
    if all(gather_object([path.exists()])):
        with np.load(path) as file:
            return [file[str(i)] for i in range(len(packs))]
    mine, count = processes()
    own = range(mine, len(packs), count)
    step = begin_work(events, "reference", len(own))
    logps = reference_logps(model, [packs[i] for i in own], step, read)
    found = dict(gather_object(list(zip(own, logps, strict=True))))
    whole = [found[i] for i in range(len(packs))]
    if mine == 0:
        part = path.with_suffix(".part.npz")
        np.savez(part, **{str(i): values for i, values in enumerate(whole)})  # pyright: ignore
        part.replace(path)
    return whole
