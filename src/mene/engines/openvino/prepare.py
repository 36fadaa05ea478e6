"""A model prepared for OpenVINO, made once and cached on disk: the graph with its weights, the tokeniser, a few facts.

Unpacking weights takes a second per 150 million; a prepared model is memory-mapped at once. It is written to a temporary
folder and renamed when complete, so that an incomplete one is never used, and the checksums of all files are verified.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from mene.engines.in_process.aside import Aside
from mene.engines.openvino.dtype import Dtype
from mene.engines.openvino.files import identity_of, source_of
from mene.engines.openvino.graph import build
from mene.engines.openvino.runtime import openvino_runtime
from mene.engines.openvino.source import Feed, Source
from mene.engines.openvino.sweep import PART, WEIGHTS, asked_for, limit, note_asked, sweep
from mene.engines.transformers.cpu import give_back_memory
from mene.errors import ModelError
from mene.weights.cache import (
    cache_folder,
    is_own,
    known_sha256,
    make_folder,
    need_space,
    remember_sha256,
    sha256,
)

# Increased whenever the format changes; older prepared models are then made anew.
FORM = 10
GRAPH, TOKENS, FACTS = "model.xml", "tokenizer.json", "facts.json"
FILES = GRAPH, WEIGHTS, TOKENS, FACTS
SUMS = "sums.json"
ASIDE = "aside.bin"  # used while preparing


@dataclass(frozen=True)
class Prepared:
    """A prepared model on disk. ``graph``: the file for OpenVINO; its weights are beside it."""

    graph: Path
    feed: Feed


def prepare(
    path: Path,
    adapters: Sequence[Path] = (),
    tell: Callable[[str], None] | None = None,
    *,
    dtype: Dtype = "float32",
) -> Prepared:
    """Return the prepared form of a model with its adapters, making it if needed.

    Several processes may call this at once: one prepares, the others wait.

    Args:
        tell: called with one line before the model is prepared, also where a damaged one is replaced.
        dtype: the number format to compute in; see ``graph.build``.

    Raises:
        ModelError: a file is damaged or unsupported, or the disk is full.
        UsageError: ``MENE_PREPARED_GB`` is no size.
    """
    folder, paths = place_of(path, adapters, dtype), asked_for(path, adapters)
    if (found := _read(folder, dtype)) is not None:
        note_asked(folder, paths)
        return found
    make_folder(folder.parent)
    limit()  # a wrong one is said before the work
    try:
        with FileLock(folder.with_name(f"{folder.name}.lock")):
            if (found := _read(folder, dtype)) is not None:
                return found
            if tell:
                what = "is made, once"
                if folder.exists():
                    bad = "damaged" if is_own(folder) else "another user's"
                    what = f"is {bad}; making it again"
                tell(f"{path.name}: its form for OpenVINO {what} …")
            _make(path, adapters, folder, dtype)
            give_back_memory()
            note_asked(folder, paths)
            found = _read(folder, dtype)
        freed = sweep(folder, paths)
    except OSError as error:
        raise _cannot_write(folder, error.strerror or str(error)) from None
    if found is None:
        raise ModelError(
            f"{folder}: cannot be read back; is the disk failing? Delete it, and try again"
        )
    if tell and freed.models:
        which = "that are no longer used"
        if freed.beyond:
            which = f"to keep {limit() / 1e9:g} GB of them at most (MENE_PREPARED_GB); those not used for longest went"
        tell(
            f"{path.name}: freed {freed.size / 1e6:,.0f} MB in {folder.parent} of prepared models {which}"
        )
    return found


def place_of(path: Path, adapters: Sequence[Path] = (), dtype: Dtype = "float32") -> Path:
    """Return the folder of the prepared form, named by the checksums of its sources."""
    digests = [identity_of(one)[-16:] for one in (path, *adapters)]
    name = path.resolve().name if path.is_dir() else path.stem
    kind = [] if dtype == "float32" else [dtype]
    return cache_folder() / "openvino" / "-".join([name[:40], *kind, *digests, str(FORM)])


def _read(folder: Path, dtype: Dtype) -> Prepared | None:
    """Return the prepared model in a folder if it is complete, of the wanted form, and belongs to this user, else None."""
    from tokenizers import Tokenizer

    try:
        if not is_own(folder):
            return None
        sums = json.loads((folder / SUMS).read_text("utf-8"))
        if any(known_sha256(folder / name) != sums[name] for name in FILES):
            return None
        facts = json.loads((folder / FACTS).read_text("utf-8"))
        # The name does not say it surely: a file may be called model-int8.gguf.
        if facts["dtype"] != dtype:
            return None
        feed = Feed(
            tokenizer=Tokenizer.from_str((folder / TOKENS).read_text("utf-8")),
            template=facts["template"],
            texts=facts["texts"],
            context=facts["context"],
            control_tokens=frozenset(facts["control_tokens"]),
            stops=frozenset(facts["stops"]),
            begin=facts["begin"],
        )
        return Prepared(folder / GRAPH, feed)
    except Exception:  # whatever is in the folder; tokenizers raises nothing more specific
        return None


def _make(path: Path, adapters: Sequence[Path], folder: Path, dtype: Dtype) -> None:
    part = folder.with_name(f"{folder.name}{PART}")
    shutil.rmtree(part, ignore_errors=True)  # left by a process that was killed
    try:
        source = source_of(path, adapters)
        part.mkdir()
        with Aside(part / ASIDE) as aside:
            graph = _graph(path, source, aside, dtype)
            what = f"preparing {path.name}"
            if dtype == "bfloat16":
                what += " (MENE_DTYPE=int8 takes less)"
            need_space(folder.parent, _size(graph) + (64 << 20), what)
            _write(source, graph, part, dtype)
            del graph  # free it before its source
        if folder.is_symlink():
            folder.unlink()
        elif folder.exists():  # damaged
            shutil.rmtree(folder)
        os.replace(part, folder)
        for name, digest in json.loads((folder / SUMS).read_text("utf-8")).items():
            remember_sha256(folder / name, digest)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _graph(path: Path, source: Source, aside: Aside, dtype: Dtype) -> Any:
    try:
        return build(source.shape, source.parts, tied=source.tied, aside=aside, dtype=dtype)
    except (ModelError, OSError):
        raise
    except Exception as error:  # arbitrary fields and tensors can raise anything
        reason = str(error).strip().splitlines()[-1:] or [type(error).__name__]
        other = f"the engine {'transformers' if path.is_dir() else 'llamacpp'} may run it"
        raise ModelError(
            f"{path}: OpenVINO cannot be given this model ({reason[0]}); {other}"
        ) from None


def _size(graph: Any) -> int:
    """Return the bytes of the graph's numbers: about the file's size, or several times that for formats that OpenVINO lacks."""
    nodes = graph.get_ops()
    return sum(node.get_byte_size() for node in nodes if node.get_type_name() == "Constant")


def _write(source: Source, graph: Any, folder: Path, dtype: Dtype) -> None:
    """Write all files of a prepared model, the checksums last.

    Raises:
        OSError: a file could not be written.
    """
    feed = source.feed
    facts = {
        "template": feed.template,
        "texts": feed.texts,
        "context": feed.context,
        "control_tokens": sorted(feed.control_tokens),
        "stops": sorted(feed.stops),
        "begin": feed.begin,
        "dtype": dtype,
    }
    try:
        openvino_runtime().save_model(graph, str(folder / GRAPH), compress_to_fp16=False)
    except RuntimeError as error:  # its only text is "iostream error"
        raise OSError(f"is the disk full? ({str(error).strip().splitlines()[-1]})") from None
    (folder / TOKENS).write_text(feed.tokenizer.to_str(), "utf-8")
    (folder / FACTS).write_text(json.dumps(facts), "utf-8")
    sums = {name: sha256(folder / name) for name in FILES}
    (folder / SUMS).write_text(json.dumps(sums), "utf-8")


def _cannot_write(folder: Path, reason: str) -> ModelError:
    return ModelError(
        f"{folder}: cannot write the prepared model: {reason}; make room, or set MENE_CACHE to a folder you can write to"
    )
