"""Training the variants of an ablation one after the other; finished ones are not trained again."""

from __future__ import annotations

import gc
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from mene.curate.pair import Pair, read_pairs
from mene.errors import UsageError
from mene.events import Begin, Events, on_stderr
from mene.files import whole
from mene.train.ablate.variants import Variant, is_finished, steps_of
from mene.train.begin import begin
from mene.train.run import train
from mene.train.trainer import Report


def ablate(
    chosen: Sequence[Variant],
    pairs: Sequence[Pair],
    data: Path,
    output: Path,
    *,
    device: str | None = None,
    report: Report = lambda line: None,
    events: Events = on_stderr,
    stopping: Callable[[], bool] = lambda: False,
) -> list[Variant]:
    """Train the variants that are not finished yet.

    Args:
        chosen: as ``variants`` gives them.
        pairs: all of ``train.jsonl``.
        data: folder with the ``dev.jsonl`` of all of them.
        report, stopping: as in ``mene.train.run.train``, for each.
        events: called with each variant's title when it begins, and with its progress (``train``).

    Returns:
        The finished variants: fewer than all after an interruption.

    Raises:
        UsageError: a folder holds a run with another recipe or other data.
        MeneError: a loss is no longer finite.
    """
    held = data / "dev.jsonl"
    if not any(pair.mode == "verdict" for pair in read_pairs(held)):
        raise UsageError(
            f"{held}: no rows to compare on; raise data.development in the recipe and run `mene curate` again"
        )
    finished: list[Variant] = []
    steps: int | None = None
    for one in chosen:
        if stopping():
            break
        events(Begin(one.title))
        folder = one.folder(output)
        own = _put_data(one.pairs(pairs), held, folder)
        if is_finished(one, output):
            # Checks that the folder belongs to this training, as `train` does again.
            begin(one.recipe, own, folder)
        else:
            found = train(
                one.recipe,
                own,
                folder,
                device=device,
                steps=steps,
                report=report,
                events=events,
                stopping=stopping,
            )
            gc.collect()  # the trainer and the model refer to each other
            if found is None:
                break
        finished.append(one)
        steps = steps or steps_of(folder)
    return finished


def _put_data(pairs: list[Pair], held: Path, folder: Path) -> Path:
    """Create the data folder of a variant: its pairs, and the development rows that all variants share."""
    own = folder / "data"
    try:
        own.mkdir(parents=True, exist_ok=True)
        with whole(own / "train.jsonl") as file:
            file.writelines(pair.to_json().encode() + b"\n" for pair in pairs)
        rows = own / "dev.jsonl"
        rows.unlink(missing_ok=True)
        try:
            rows.hardlink_to(held)
        except OSError:  # another disk
            shutil.copyfile(held, rows)
    except OSError as error:
        raise UsageError(f"{own}: cannot write here: {error.strerror}; use --output") from None
    return own
