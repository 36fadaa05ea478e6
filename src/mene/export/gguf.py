"""Writing trained weights to GGUF: as a complete model, or as a LoRA adapter.

GGUF names a model's weights differently from Transformers, and stores some in another order or with an offset: ``as_gguf``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mene.errors import ModelError, UsageError
from mene.weights.cache import open_part
from mene.weights.convert import Change
from mene.weights.gguf_file import read_gguf
from mene.weights.gguf_header import check_model

if TYPE_CHECKING:
    import numpy as np

# A LoRA adapter: Transformers module name -> A of shape (rank, in) and B of shape (out, rank).
Factors = dict[str, tuple["np.ndarray", "np.ndarray"]]

ARCHITECTURES = ("llama", "qwen2", "qwen3", "gemma", "gemma2", "gemma3")


class Architecture(NamedTuple):
    """What the order of weights in a GGUF file depends on; ``name`` is GGUF's name of the architecture."""

    name: str
    layers: int
    heads: int
    kv_heads: int


class Facts(NamedTuple):
    """Facts about a model: context in tokens; licence, chat template and end-of-turn text, where its file has them."""

    architecture: Architecture
    context: int
    licence: str | None = None
    chat: str | None = None
    stop: str | None = None


def read_facts(path: Path) -> Facts:
    """Return the facts in the header of a GGUF model.

    Raises:
        ModelError: it is damaged.
    """
    found = read_gguf(path)
    check_model(path, found)
    fields = found.fields
    name, tokens = fields["general.architecture"], fields["tokenizer.ggml.tokens"]
    heads = fields.get(f"{name}.attention.head_count")
    kv_heads = fields.get(f"{name}.attention.head_count_kv", heads)
    if type(heads) is not int or type(kv_heads) is not int:
        raise ModelError(
            f"{path}: its layers differ in their heads, and mene cannot write such a GGUF; give --form merged"
        )
    end = fields.get("tokenizer.ggml.eos_token_id")
    known = type(end) is int and 0 <= end < len(tokens)
    return Facts(
        Architecture(name, fields[f"{name}.block_count"], heads, kv_heads),
        fields[f"{name}.context_length"],
        fields.get("general.license"),
        fields.get("tokenizer.chat_template"),
        tokens[end].decode("utf-8", "replace") if known else None,
    )


def check_architecture(arch: Architecture) -> None:
    """Raise ``UsageError`` unless the order of this architecture's weights in GGUF is known."""
    if arch.name not in ARCHITECTURES:
        raise UsageError(
            f"mene cannot write GGUF files of the architecture {arch.name}, only of {', '.join(ARCHITECTURES)}; give "
            "--form merged, and convert that folder with llama.cpp's convert_hf_to_gguf.py"
        )


def gguf_name(arch: Architecture, module: str) -> str:
    """Return GGUF's name of a weight: ``model.layers.0.mlp.up_proj`` is ``blk.0.ffn_up.weight``.

    Raises:
        ModelError: it has none.
    """
    found = _names(arch).get_name(module.replace("language_model.", ""))
    if found is None:
        raise ModelError(f"GGUF has no name for {module} of a {arch.name}; give --form merged")
    return f"{found}.weight"


@cache
def _names(arch: Architecture) -> Any:
    import gguf

    key = next(key for key, name in gguf.MODEL_ARCH_NAMES.items() if name == arch.name)
    return gguf.get_tensor_name_map(key, arch.layers)


def as_gguf(arch: Architecture, module: str, rows: np.ndarray) -> np.ndarray:
    """Return a Transformers weight with its values in GGUF's order.

    llama.cpp rotates neighbouring rows of a head's query and key where Transformers rotates rows half a head apart; for
    Llama its converter therefore reorders them (``LlamaModel.permute`` in convert_hf_to_gguf.py). Gemma's norms scale by
    1 + weight in Transformers, by weight in llama.cpp.

    Args:
        module: name in Transformers, without ``.weight``.
        rows: shape (out, …): the weight, or the factor of a low-rank change that has its rows.
    """
    heads = {"q_proj": arch.heads, "k_proj": arch.kv_heads}.get(module.rpartition(".")[2])
    if arch.name == "llama" and heads:
        return permute(rows, heads)
    return rows + 1 if arch.name.startswith("gemma") and module.endswith("norm") else rows


def permute(rows: np.ndarray, heads: int) -> np.ndarray:
    """Return the rows of a query or key in GGUF's order: the halves of each head interleaved.

    Args:
        rows: shape (heads · head width, …).
    """
    halves = rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:])
    return halves.swapaxes(1, 2).reshape(rows.shape)


def adding(arch: Architecture, factors: Factors, scale: float) -> Change:
    """Return the change that adds a LoRA adapter, scale · B A, to the weights of a GGUF file."""
    pairs = {gguf_name(arch, m): (a, as_gguf(arch, m, b)) for m, (a, b) in factors.items()}

    def change(name: str, values: np.ndarray) -> np.ndarray:
        if name not in pairs:
            return values
        a, b = pairs[name]
        return values + scale * (b @ a)

    return change


def replacing(arch: Architecture, folder: Path) -> Change:
    """Return the change that replaces a GGUF file's weights by those of a Transformers folder.

    Raises, also when called:
        ModelError: a weight is missing in the folder, or of another shape; a file is damaged.
    """
    homes: dict[str, tuple[Path, str]] = {}
    for file in sorted(folder.glob("*.safetensors")):
        with _weights(file) as tensors:
            for key in tensors.keys():  # noqa: SIM118 - not a dict
                homes[gguf_name(arch, key.removesuffix(".weight"))] = file, key

    def change(name: str, values: np.ndarray) -> np.ndarray:
        if name == "rope_freqs.weight":  # computed by Transformers, not a weight
            return values
        if name not in homes:
            raise ModelError(f"{folder}: lacks {name}, which the base has; run `mene train` again")
        file, key = homes[name]
        with _weights(file) as tensors:
            trained = tensors.get_tensor(key).float().numpy()
        if trained.shape != values.shape:
            raise ModelError(
                f"{folder}: {key} is of another shape than in the base; run `mene train` again"
            )
        return as_gguf(arch, key.removesuffix(".weight"), trained)

    return change


@contextmanager
def _weights(file: Path) -> Iterator[Any]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "pt") as tensors:
            yield tensors
    except SafetensorError as error:
        raise ModelError(f"{file}: damaged ({error}); run `mene train` again") from None


def write_lora(target: Path, arch: Architecture, name: str, alpha: float, factors: Factors) -> None:
    """Write a LoRA adapter for llama.cpp, in float16 (format: its convert_lora_to_gguf.py).

    Args:
        alpha: the product is scaled by alpha / rank.
    """
    import gguf
    import numpy as np

    part = target.with_name(f"{target.name}.part")
    open_part(part).close()  # the writer would follow a link
    writer = gguf.GGUFWriter(part, arch.name)
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_name(name)
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, alpha)
    for module, (a, b) in factors.items():
        weight = gguf_name(arch, module)
        writer.add_tensor(f"{weight}.lora_a", a.astype(np.float16))
        writer.add_tensor(f"{weight}.lora_b", as_gguf(arch, module, b).astype(np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    part.replace(target)
