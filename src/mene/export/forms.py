"""The formats that a run's weights can be written in, and which of them suit a run."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from mene.errors import UsageError, nearest
from mene.export.finished import Finished
from mene.weights.convert import FORMS as GGUF_FORMS

LORA_FORMS = ("adapter.gguf", "adapter")
FORMS = (*LORA_FORMS, "merged", *GGUF_FORMS)

Files = dict[str, Path]  # format, or name of a text file -> path written


def choose(
    done: Finished, output: Path, name: str, forms: Collection[str] | None
) -> tuple[list[str], list[str]]:
    """Return the formats to write, in order, and messages about those left out.

    Args:
        output, name: as in ``run.export``, for the messages.
        forms: out of ``FORMS``; None = all that suit the run, with ``Q8_0`` as the only GGUF format.

    Raises:
        UsageError: a requested format is unknown, or does not suit the run.
    """
    for form in forms or ():
        if form not in FORMS:
            raise UsageError(f'no form "{form}"{nearest(form, FORMS)}; one of {", ".join(FORMS)}')
    lacks = {}
    if not done.recipe.adapter:
        lacks |= dict.fromkeys(LORA_FORMS, "the run trained all weights: it has no adapter")
    base = done.recipe.base
    if base is None or not (base.wheel or (base.path or "").endswith(".gguf")):
        how = (
            "the base is no GGUF file to put new weights into: after `mene export --form merged`, run llama.cpp's\n"
            f"python convert_hf_to_gguf.py {output / 'merged'} --outtype q8_0 --outfile {output / name}.Q8_0.gguf"
        )
        lacks |= dict.fromkeys(GGUF_FORMS, how)
    if forms:
        for form in forms:
            if form in lacks:
                raise UsageError(f"{form}: {lacks[form]}")
        return [form for form in FORMS if form in forms], []
    usual = (*LORA_FORMS, "merged", "Q8_0")
    notes = [f"{form} left out: {lacks[form]}" for form in usual if form in lacks]
    return [form for form in usual if form not in lacks], notes


def whole_gguf(files: Files) -> Path | None:
    """Return the complete model's GGUF file, if one was written."""
    return next((files[form] for form in GGUF_FORMS if form in files), None)
