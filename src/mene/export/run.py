"""From a finished training run to files that others can use.

``adapter.gguf`` (LoRA, for llama.cpp), ``adapter/`` (LoRA, for PEFT and vLLM), ``merged/`` (the whole model, for
Transformers and vLLM), ``NAME.Q8_0.gguf`` (the whole model, for llama.cpp and Ollama), and the texts of `card.py` beside
them: ``judge.yaml``, ``Modelfile``, ``README.md``.

How GGUF names and orders weights is known to `convert.py`.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from mene.convert import FORMS as GGUF_FORMS
from mene.convert import (
    Architecture,
    Factors,
    Facts,
    adding,
    check_architecture,
    read_facts,
    replacing,
    rewrite,
    write_lora,
)
from mene.errors import ModelError, UsageError, nearest
from mene.export import card
from mene.files import write_whole
from mene.preset import Preset, fetch
from mene.recipe import Recipe
from mene.train.model import CONFIG, WEIGHTS
from mene.weights.cache import need_space

LORA_FORMS = ("adapter.gguf", "adapter")
FORMS = (*LORA_FORMS, "merged", *GGUF_FORMS)
# Architectures that Transformers and GGUF call by different names.
_OF_MODEL_TYPE = {"mistral": "llama", "gemma3_text": "gemma3"}
_LORA = re.compile(r"base_model\.model\.(.+)\.lora_([AB])\.weight")


class Exported(NamedTuple):
    """What was written (file or folder by its name), and what could not be, with what to do instead."""

    files: dict[str, Path]
    notes: list[str]


class Base(NamedTuple):
    """The model that a run started from.

    Attributes:
        where: what ``engines.transformers_model.load`` takes.
        name: hub id, or name of the file or folder; never a path.
        gguf: the file, where the base is one.
    """

    where: str
    name: str
    gguf: Path | None
    facts: Facts


def export(
    run: Path,
    output: Path,
    *,
    forms: Collection[str] | None = None,
    name: str | None = None,
    data: Path | None = None,
    results: Path | None = None,
    on_step: Callable[[str], None] = lambda file: None,
) -> Exported:
    """Write a run's weights in other forms, with a judge's preset and a model card. Files there are replaced.

    Args:
        run: folder of a finished run.
        output: folder for the files.
        forms: out of ``FORMS``; None = all that suit the run, of GGUF forms ``Q8_0``.
        name: of the judge; None = that of the run's folder.
        data: folder that ``mene curate`` made; None = looked for beside the run.
        results: folder of ``mene bench``, for the card.
        on_step: told the name of each file before it is written.

    Raises:
        UsageError: the run has not ended, or something asked for cannot be had; before anything is written.
        ModelError: the base cannot be had, or its architecture is not known; no space.
    """
    from mene.bench.run import make_folder  # loads scipy

    name = name or run.resolve().name
    if not re.fullmatch(r"\w[\w.+-]*", name):
        raise UsageError(f'"{name}" cannot be the name of a file; give another with --name')
    done = card.open_run(run, data)
    notes: list[str] = []
    chosen = _choose(done, output, name, forms, notes)
    bench = card.bench_table(results) if results else ""
    if output.resolve() == run.resolve():
        raise UsageError(f"{output}: is the run itself; give another folder with --output")
    make_folder(output)
    base = read_base(done.recipe)
    if {*chosen} & {"adapter.gguf", *GGUF_FORMS}:
        check_architecture(base.facts.architecture)
    files: dict[str, Path] = {}
    for form in chosen:
        file = f"{name}.{form}.gguf" if form in GGUF_FORMS else form
        on_step(file)
        files[form] = output / file
        try:
            _write(form, files[form], done, base, name)
        except OSError as error:
            raise ModelError(f"{files[form]}: cannot be written: {error.strerror}") from None
    texts = {"judge.yaml": card.preset_yaml(done, base, name, files)}
    if whole := card.whole_gguf(files):
        texts["Modelfile"] = card.modelfile(base, whole)
    texts["README.md"] = card.model_card(done, base, name, files, bench)
    for file, text in texts.items():
        on_step(file)
        files[file] = output / file
        write_whole(files[file], text)
    return Exported(files, notes)


def _choose(
    done: card.Finished, output: Path, name: str, forms: Collection[str] | None, notes: list[str]
) -> list[str]:
    """The forms to write, in order; what cannot be written is refused where it was asked for, else noted."""
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
        return [form for form in FORMS if form in forms]
    usual = (*LORA_FORMS, "merged", "Q8_0")
    notes += [f"{form} left out: {lacks[form]}" for form in usual if form in lacks]
    return [form for form in usual if form not in lacks]


def read_base(recipe: Recipe) -> Base:
    """Bring the base to this machine, and read what export needs to know of it.

    Raises:
        UsageError, ModelError: it cannot be had.
    """
    weights = recipe.base
    assert weights is not None  # what `mene train` asks for
    path = fetch(Preset(engine="transformers", weights=weights))
    where = str(path or weights.hub or "")
    if path is not None and path.suffix == ".gguf":
        return Base(where, path.name, path, read_facts(path))
    import transformers

    try:
        config = transformers.AutoConfig.from_pretrained(where, revision=weights.revision)
    except (OSError, ValueError) as error:
        raise ModelError(f"{where}: cannot be loaded ({str(error).splitlines()[0]})") from None
    text: Any = config.get_text_config()
    heads = text.num_attention_heads
    kind = str(text.model_type)
    arch = Architecture(
        _OF_MODEL_TYPE.get(kind, kind),
        text.num_hidden_layers,
        heads,
        getattr(text, "num_key_value_heads", None) or heads,
    )
    facts = Facts(arch, getattr(text, "max_position_embeddings", 8192))
    return Base(where, str(weights.hub or Path(where).name), None, facts)


def _write(form: str, target: Path, done: card.Finished, base: Base, name: str) -> None:
    if form == "adapter":
        _write_adapter(target, done, base)
    elif form == "merged":
        _write_merged(target, done, base)
    elif form == "adapter.gguf":
        factors, config = _lora(done.weights)
        write_lora(target, base.facts.architecture, name, config["lora_alpha"], factors)
    else:
        assert base.gguf is not None
        if done.recipe.adapter:
            factors, config = _lora(done.weights)
            scale = config["lora_alpha"] / config["r"]
            change = adding(base.facts.architecture, factors, scale)
        else:
            change = replacing(base.facts.architecture, done.weights)
        rewrite(base.gguf, target, form, change=change, name=name)


def _lora(folder: Path) -> tuple[Factors, dict[str, Any]]:
    """An adapter's factors, float32, and its settings.

    Raises:
        ModelError: something else than factors is in it, or a number that is not finite in float16.
    """
    import numpy as np
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        saved = load_file(folder / WEIGHTS)
        config = json.loads((folder / CONFIG).read_text("utf-8"))
    except (SafetensorError, ValueError) as error:
        raise ModelError(f"{folder}: damaged ({error}); train anew") from None
    factors: dict[str, dict[str, np.ndarray]] = {}
    for key, values in saved.items():
        found = _LORA.fullmatch(key)
        if found is None:
            raise ModelError(f"{folder}: {key} is not a factor of LoRA; give --form merged")
        if not (np.abs(values) < np.finfo(np.float16).max).all():
            raise ModelError(f"{folder}: {key} has a number that is not finite; train anew")
        factors.setdefault(found[1], {})[found[2]] = values
    return {module: (pair["A"], pair["B"]) for module, pair in factors.items()}, config


def _write_adapter(target: Path, done: card.Finished, base: Base) -> None:
    """PEFT's folder in half precision, without the paths of this machine."""
    import numpy as np
    from safetensors.numpy import save_file

    factors, config = _lora(done.weights)
    config["base_model_name_or_path"] = base.name
    config["revision"] = done.recipe.base.revision if done.recipe.base else None
    config["target_modules"] = sorted(config["target_modules"])
    halves = {
        f"base_model.model.{module}.lora_{letter}.weight": values.astype(np.float16)
        for module, pair in factors.items()
        for letter, values in zip("AB", pair, strict=True)
    }
    with _folder(target) as part:
        save_file(halves, part / WEIGHTS, metadata={"format": "pt"})
        (part / CONFIG).write_text(json.dumps(config, indent=1) + "\n", "utf-8")


def _write_merged(target: Path, done: card.Finished, base: Base) -> None:
    """A folder for Transformers: weights in bfloat16, added up in float32; and the tokeniser."""
    from mene.engines.transformers_model import load

    where, revision, adapter = str(done.weights), None, None
    if done.recipe.adapter and done.recipe.base:
        where, revision, adapter = base.where, done.recipe.base.revision, str(done.weights)
    loaded = load(where, revision, adapter, "float32", "cpu", frozen_head=False)
    model: Any = loaded.model
    import torch
    from transformers.utils import logging

    model.to(torch.bfloat16)
    for key in ("quantization_config", "_pre_quantization_dtype"):
        if hasattr(model.config, key):
            delattr(model.config, key)
    model.config.name_or_path = base.name
    need_space(target.parent, 2 * model.num_parameters(), target.name)
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    with _folder(target) as part:
        model.save_pretrained(part)
        loaded.tokenizer.save_pretrained(part)
    if shown:
        logging.enable_progress_bar()


@contextmanager
def _folder(target: Path) -> Iterator[Path]:
    """A folder to fill, which takes the place of ``target`` when it is whole."""
    part = target.with_name(f"{target.name}.part")
    if part.is_symlink() or part.is_file():
        part.unlink()
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    try:
        yield part
        shutil.rmtree(target, ignore_errors=True)
        part.replace(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)
