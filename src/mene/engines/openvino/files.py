"""Models and adapters as a user names them, a GGUF file or a folder, and what is known of them before loading."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mene.engines.openvino.adapter import Model, check_fits, read_adapter
from mene.engines.openvino.dtype import Dtype
from mene.engines.openvino.folder import folder_source, folder_tensors, folder_texts, folder_type
from mene.engines.openvino.gguf import gguf_source
from mene.engines.openvino.source import Source
from mene.engines.openvino.weights import Weights
from mene.weights.cache import file_identity, folder_identity
from mene.weights.gguf_file import read_gguf
from mene.weights.gguf_header import read_header


@dataclass(frozen=True, slots=True)
class Facts:
    """Facts about a model with its adapter: see ``Engine``; ``context`` is what it was trained on."""

    identity: str
    context: int
    control_tokens: frozenset[str]


def facts_of(path: Path, adapters: Sequence[Path] = (), dtype: Dtype = "float32") -> Facts:
    """Read and check all that is quick: headers, settings, whether the adapters fit the model.

    Args:
        dtype: the number format to compute in; part of the identity where it rounds.

    Raises:
        ModelError: a file is missing, damaged or unsupported, or the adapter is for another model.
    """
    if path.is_dir():
        texts = folder_texts(path)
        context, control_tokens = texts.context, texts.control_tokens
    else:
        header = read_header(path)
        context, control_tokens = header.context, header.control_tokens
    if adapters:
        if path.is_dir():
            model = Model(path.name, folder_type(path), folder_tensors(path))
        else:
            found = read_gguf(path)
            arch = found.fields["general.architecture"]
            model = Model(path.name, arch, Weights(path, found))
        for adapter in adapters:
            check_fits(adapter, model)
    names = map(identity_of, (path, *adapters))
    kind = "" if dtype == "float32" else f"{dtype}:"
    return Facts(f"openvino:{kind}" + "+".join(names), context, control_tokens)


def source_of(path: Path, adapters: Sequence[Path] = ()) -> Source:
    """Read a model, and the adapters to use with it.

    Raises:
        ModelError: a file is damaged or unsupported, or the adapter is for another model.
    """
    source = folder_source(path) if path.is_dir() else gguf_source(path)
    model = Model(path.name, source.arch, source.tensors)
    found = [read_adapter(one, model, source.shape.head_size) for one in adapters]
    each = tuple(low_rank.get for low_rank in found)
    return replace(source, parts=replace(source.parts, adapters=each))


def identity_of(path: Path) -> str:
    """Return a string that identifies exact weights: a file's checksum, or a folder's name and the checksums of its files."""
    return folder_identity(path) if path.is_dir() else file_identity(path)
