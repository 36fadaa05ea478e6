"""Exporting a finished training run to files that others can use.

``adapter.gguf`` (LoRA, for llama.cpp), ``adapter/`` (LoRA, for PEFT and vLLM), ``merged/`` (the whole model, for
Transformers and vLLM), ``NAME.Q8_0.gguf`` (the whole model, for llama.cpp and Ollama), and the texts beside them:
``judge.yaml``, ``Modelfile``, ``README.md``.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from mene.errors import ModelError, UsageError
from mene.events import Begin, Events, on_stderr
from mene.export.base import read_base
from mene.export.between import between, check_between
from mene.export.card import bench_table, model_card
from mene.export.finished import open_run
from mene.export.forms import GGUF_FORMS, choose, whole_gguf
from mene.export.gguf import check_architecture
from mene.export.ollama import modelfile
from mene.export.preset import preset_yaml
from mene.export.weights import write_weights
from mene.files import make_folder, write_whole


class Exported(NamedTuple):
    """What was written (file or folder by name), and what could not be written, with alternatives."""

    files: dict[str, Path]
    notes: list[str]


def export(
    run: Path,
    output: Path,
    *,
    forms: Collection[str] | None = None,
    name: str | None = None,
    share: float = 1,
    data: Path | None = None,
    results: Path | None = None,
    events: Events = on_stderr,
) -> Exported:
    """Write a run's weights in other formats, with a judge preset and a model card. Existing files are replaced.

    Args:
        run: folder of a finished run.
        output: folder for the files.
        forms: out of ``forms.FORMS``; None = all that suit the run, with ``Q8_0`` as the only GGUF format.
        name: of the judge; None = that of the run's folder.
        share: how far to go from the adapter that the run started from to its own, above 0 to 1.
        data: folder made by ``mene curate``; None = looked for beside the run.
        results: folder of ``mene bench`` results, for the card.
        events: called with an event for each file before it is written.

    Raises:
        UsageError: the run has not ended, or something requested is unavailable; raised before anything is written.
        ModelError: the base model is unavailable, or its architecture unknown; or the disk is full.
    """
    name = name or run.resolve().name
    if not re.fullmatch(r"\w[\w.+-]*", name):
        raise UsageError(f'"{name}" cannot be the name of a file; give another with --name')
    done = open_run(run, data)
    check_between(done, share)
    chosen, notes = choose(done, output, name, forms)
    bench = bench_table(results) if results else ""
    if output.resolve() == run.resolve():
        raise UsageError(
            f"{output} is the folder of the run itself; give another folder with --output"
        )
    make_folder(output)
    base = read_base(done.recipe)
    if {*chosen} & {"adapter.gguf", *GGUF_FORMS}:
        check_architecture(base.facts.architecture)
    files: dict[str, Path] = {}
    with between(done, base, share) as written:
        for form in chosen:
            file = f"{name}.{form}.gguf" if form in GGUF_FORMS else form
            events(Begin(file))
            files[form] = output / file
            try:
                write_weights(form, files[form], written, base, name)
            except OSError as error:
                raise ModelError(f"{files[form]}: cannot be written: {error.strerror}") from None
    texts = {"judge.yaml": preset_yaml(done, base, name, files)}
    if whole := whole_gguf(files):
        texts["Modelfile"] = modelfile(base, whole)
    texts["README.md"] = model_card(done, base, name, files, bench, share)
    for file, text in texts.items():
        events(Begin(file))
        files[file] = output / file
        write_whole(files[file], text)
    return Exported(files, notes)
