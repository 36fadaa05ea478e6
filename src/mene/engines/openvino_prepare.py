"""A model's prepared form for OpenVINO, made once and kept in the cache: the graph with its weights, the tokeniser, a few facts.

Unpacking weights takes a second for each 150 million of them; what is kept is mapped into memory at once. It is written beside
and renamed when it is whole, so that a half-written one is never used, and its weights are checked by their sum.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from mene.engines.openvino_gguf import Source, source_of
from mene.engines.openvino_graph import build
from mene.engines.openvino_runtime import openvino_runtime
from mene.errors import ModelError
from mene.weights.cache import (
    cache_folder,
    file_identity,
    is_own,
    known_sha256,
    make_folder,
    need_space,
)

# Counted up whenever what is written changes; older forms are then made anew.
FORM = 2
GRAPH, WEIGHTS, TOKENS, FACTS = "model.xml", "model.bin", "tokenizer.json", "facts.json"


@dataclass(frozen=True)
class Prepared:
    """A prepared model on the disk.

    Attributes:
        graph: the file to give to OpenVINO; its weights lie beside it.
        tokenizer: a ``tokenizers.Tokenizer``.
        template, texts, context, control_tokens, stops, begin: see ``Source``.
    """

    graph: Path
    tokenizer: Any
    template: str
    texts: dict[str, str]
    context: int
    control_tokens: frozenset[str]
    stops: frozenset[int]
    begin: int | None


def prepare(
    path: Path, adapter: Path | None = None, tell: Callable[[str], None] | None = None
) -> Prepared:
    """Find the prepared form of a GGUF model with its adapter, or make it.

    Several processes may ask for the same at once: one makes it, the others wait.

    Args:
        tell: called with one line before it is made, and where a damaged one is made anew.

    Raises:
        ModelError: a file is damaged or of a form that is not known, or the disk is full.
    """
    folder = place_of(path, adapter)
    if (found := _read(folder)) is not None:
        return found
    make_folder(folder.parent)
    try:
        with FileLock(folder.with_name(f"{folder.name}.lock")):
            if (found := _read(folder)) is not None:
                return found
            if tell:
                bad = "is damaged, or another user's; preparing it again"
                tell(f"{path.name} {bad if folder.exists() else 'is prepared, once'} …")
            _make(path, adapter, folder)
    except OSError as error:
        raise ModelError(
            f"{folder}: cannot write the prepared model: {error.strerror or error}; "
            "make room there, or set MENE_CACHE to a folder you can write to"
        ) from None
    found = _read(folder)
    if found is None:
        raise ModelError(
            f"{folder}: cannot be read back; is the disk failing? Delete it, and try again"
        )
    return found


def place_of(path: Path, adapter: Path | None) -> Path:
    """The folder of the prepared form: named by the sums of what goes into it."""
    digests = "-".join(file_identity(file) for file in (path, adapter) if file is not None)
    return cache_folder() / "openvino" / f"{path.stem[:60]}-{digests}-{FORM}"


def _read(folder: Path) -> Prepared | None:
    """What is there, if it is whole, and this user's."""
    try:
        if not is_own(folder):
            return None
        facts = json.loads((folder / FACTS).read_text("utf-8"))
        for name, digest in facts["sha256"].items():
            if known_sha256(folder / name) != digest:
                return None
        from tokenizers import Tokenizer

        return Prepared(
            graph=folder / GRAPH,
            tokenizer=Tokenizer.from_file(str(folder / TOKENS)),
            template=facts["template"],
            texts=facts["texts"],
            context=facts["context"],
            control_tokens=frozenset(facts["control_tokens"]),
            stops=frozenset(facts["stops"]),
            begin=facts["begin"],
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _make(path: Path, adapter: Path | None, folder: Path) -> None:
    source = source_of(path, adapter)
    need_space(folder.parent, int(path.stat().st_size * 1.2) + (64 << 20), f"preparing {path.name}")
    part = Path(tempfile.mkdtemp(prefix=f"{folder.name}.part-", dir=folder.parent))
    try:
        graph = build(source.shape, source.parts, tied=source.tied)
        openvino_runtime().save_model(graph, str(part / GRAPH), compress_to_fp16=False)
        source.tokenizer.save(str(part / TOKENS))
        _write_facts(source, part)
        if folder.is_symlink():
            folder.unlink()
        elif folder.exists():  # a damaged one
            shutil.rmtree(folder)
        os.replace(part, folder)
    except (OSError, ModelError):
        raise
    except Exception as error:  # of OpenVINO, or of a number format that nobody here can unpack
        reason = str(error).strip().splitlines()[-1:] or [type(error).__name__]
        raise ModelError(
            f"{path}: OpenVINO cannot be given this model ({reason[0]}); the engine llamacpp may run it"
        ) from None
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _write_facts(source: Source, folder: Path) -> None:
    facts = {
        "template": source.template,
        "texts": source.texts,
        "context": source.context,
        "control_tokens": sorted(source.control_tokens),
        "stops": sorted(source.stops),
        "begin": source.begin,
        "sha256": {name: known_sha256(folder / name) for name in (GRAPH, WEIGHTS, TOKENS)},
    }
    text = json.dumps(facts, ensure_ascii=False)
    (folder / FACTS).write_text(text, "utf-8")
