"""Writing GGUF files: a model in another number format, or with other weights; a LoRA adapter.

A GGUF file has other names than Transformers for a model's weights, and some in another order or offset: `as_gguf`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from filelock import FileLock

from mene.engines.gguf_file import GGUF, Tensor, read_gguf
from mene.engines.gguf_header import check_model
from mene.errors import ModelError, UsageError
from mene.weights.cache import need_space, open_part

if TYPE_CHECKING:
    import numpy as np

FORMS = ("Q8_0", "Q4_0", "F16", "BF16", "F32")

# Called with the name of a tensor and its values, float32; gives the values to write, of the same shape.
Change = Callable[[str, "np.ndarray"], "np.ndarray"]
# Of a LoRA adapter: name of a module in Transformers -> A of shape (rank, in) and B of shape (out, rank).
Factors = dict[str, tuple["np.ndarray", "np.ndarray"]]


def convert(source: Path, form: str, log: Callable[[str], None] | None = None) -> Path:
    """Rewrite the matrices of a GGUF file in another number format, once; return the new file.

    llama.cpp reads Q8_0 about 1.5 times as fast as Q4_1 on a CPU (Q4_1 has no fast matrix product), and
    every Q4_1 value is representable in Q8_0 to within 1/254 of its block's largest one.

    Args:
        form: see ``FORMS``.
    """
    target = source.with_name(f"{source.stem.rsplit('.', 1)[0]}.{form}.gguf")
    if target.exists():
        return target
    with FileLock(source.parent / ".lock"):
        if target.exists():
            return target
        if log:
            log(f"Converting {source.name} to {form}, once …")
        rewrite(source, target, form)
    return target


def rewrite(
    source: Path, target: Path, form: str, *, change: Change | None = None, name: str | None = None
) -> None:
    """Write a GGUF file anew, its matrices in one number format. The new file is there whole, or not at all.

    Vectors, and matrices whose rows do not divide into blocks, become float32.

    Args:
        form: see ``FORMS``.
        change: other values for tensors; None leaves all as they are.
        name: the new model's name (``general.name``); None keeps the old one.

    Raises:
        ModelError: the file is damaged or of a format that cannot be read, no space, or it cannot be written.
    """
    found = read_gguf(source)
    check_model(source, found)
    need_space(target.parent, source.stat().st_size * 3, target.name)
    part = target.with_suffix(".part")
    try:
        open_part(part).close()  # the writer would follow a link
        _rewrite(found, source, part, form, change, name)
        part.replace(target)
    except OSError as error:
        raise ModelError(f"{target}: cannot write the model: {error.strerror or error}") from None
    except (
        NotImplementedError,
        ValueError,
    ) as error:  # ValueError: a format that gguf does not know
        raise ModelError(
            f"{source}: cannot convert its weights ({error}); give a Q8_0 or F16 file"
        ) from None
    finally:
        part.unlink(missing_ok=True)


def _rewrite(
    found: GGUF,
    source: Path,
    target: Path,
    form: str,
    change: Change | None,
    model_name: str | None,
) -> None:
    import gguf
    import numpy as np

    wanted = gguf.GGMLQuantizationType[form]
    plain = gguf.GGMLQuantizationType.F32
    writer = gguf.GGUFWriter(target, found.fields["general.architecture"])
    for name, value in found.fields.items():
        if name in ("general.architecture", "general.alignment"):  # the writer's own
            continue
        if name == "general.file_type":
            value = int(gguf.LlamaFileType[f"MOSTLY_{form}" if form != "F32" else "ALL_F32"])
        if name == "general.name" and model_name:
            value = model_name
        kind, inner = found.kinds[name]
        writer.add_key_value(
            name,
            value,
            gguf.GGUFValueType(kind),
            sub_type=None if inner is None else gguf.GGUFValueType(inner),
        )
    data = np.memmap(source, mode="r")
    for tensor in found.tensors:
        shape = tensor.shape[::-1]
        values = _values(data, found.start, tensor)
        if change is not None:
            values = change(tensor.name, values)
        block = gguf.GGML_QUANT_SIZES[wanted][0]
        written = plain if values.ndim == 1 or shape[-1] % block else wanted
        if written == plain:
            writer.add_tensor(tensor.name, values.astype(np.float32))
        else:
            writer.add_tensor(tensor.name, gguf.quantize(values, written), raw_dtype=written)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _values(data: np.ndarray, start: int, tensor: Tensor) -> np.ndarray:
    """The numbers of a tensor, float32. ``data``: the bytes of the file."""
    import gguf

    form = gguf.GGMLQuantizationType(tensor.form)
    block, size = gguf.GGML_QUANT_SIZES[form]
    shape = tensor.shape[::-1]
    rows = (*shape[:-1], shape[-1] // block * size)
    at = start + tensor.offset
    raw = data[at : at + math.prod(rows)].reshape(rows)
    return gguf.dequantize(raw, form).reshape(shape)


# Of these it is known how the two formats differ. Mistral's architecture is called llama in GGUF.
ARCHITECTURES = ("llama", "qwen2", "qwen3", "gemma", "gemma2", "gemma3")


class Architecture(NamedTuple):
    """What the order of weights in a GGUF file depends on; ``name`` is GGUF's."""

    name: str
    layers: int
    heads: int
    kv_heads: int


class Facts(NamedTuple):
    """Of a model: tokens of context; licence, chat template, text that ends a turn, where its file has them."""

    architecture: Architecture
    context: int
    licence: str | None = None
    chat: str | None = None
    stop: str | None = None


def read_facts(path: Path) -> Facts:
    """What the header of a GGUF model says.

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
        raise ModelError(f"{path}: its layers differ in their heads, which mene cannot write")
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
    """Raise a ``UsageError`` unless it is known how GGUF orders the weights of this architecture."""
    if arch.name not in ARCHITECTURES:
        raise UsageError(
            f"mene cannot write GGUF files of the architecture {arch.name}, only of {', '.join(ARCHITECTURES)}; give "
            "--form merged, and convert that folder with llama.cpp's convert_hf_to_gguf.py"
        )


def gguf_name(arch: Architecture, module: str) -> str:
    """GGUF's name of a weight: ``model.layers.0.mlp.up_proj`` is ``blk.0.ffn_up.weight``.

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
    """A weight of Transformers with its values as GGUF has them.

    llama.cpp rotates neighbouring rows of a head's query and key where Transformers rotates rows half a head apart; for
    Llama its converter therefore reorders them (``LlamaModel.permute`` in convert_hf_to_gguf.py). Gemma's norms scale by
    1 + weight in Transformers, by weight in llama.cpp.

    Args:
        module: name in Transformers, without ``.weight``.
        rows: shape (out, …): the weight, or of a low-rank change of it the factor that has its rows.
    """
    heads = {"q_proj": arch.heads, "k_proj": arch.kv_heads}.get(module.rpartition(".")[2])
    if arch.name == "llama" and heads:
        return permute(rows, heads)
    return rows + 1 if arch.name.startswith("gemma") and module.endswith("norm") else rows


def permute(rows: np.ndarray, heads: int) -> np.ndarray:
    """Rows of a query or key in GGUF's order: the halves of each head interleaved.

    Args:
        rows: shape (heads · width of a head, …).
    """
    halves = rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:])
    return halves.swapaxes(1, 2).reshape(rows.shape)


def adding(arch: Architecture, factors: Factors, scale: float) -> Change:
    """The change that a LoRA adapter makes to the weights of a GGUF file: scale · B A is added."""
    pairs = {gguf_name(arch, m): (a, as_gguf(arch, m, b)) for m, (a, b) in factors.items()}

    def change(name: str, values: np.ndarray) -> np.ndarray:
        if name not in pairs:
            return values
        a, b = pairs[name]
        return values + scale * (b @ a)

    return change


def replacing(arch: Architecture, folder: Path) -> Change:
    """The change that puts the weights of a Transformers folder in the place of a GGUF file's.

    Raises, also when called:
        ModelError: a weight is missing in the folder, or of another shape; a file is damaged.
    """
    homes: dict[str, tuple[Path, str]] = {}
    for file in sorted(folder.glob("*.safetensors")):
        with _weights(file) as tensors:
            for key in tensors.keys():  # noqa: SIM118 - not a dict
                homes[gguf_name(arch, key.removesuffix(".weight"))] = file, key

    def change(name: str, values: np.ndarray) -> np.ndarray:
        if name == "rope_freqs.weight":  # not a weight; Transformers computes it
            return values
        if name not in homes:
            raise ModelError(f"{folder}: lacks {name}, which the base has; train anew")
        file, key = homes[name]
        with _weights(file) as tensors:
            trained = tensors.get_tensor(key).float().numpy()
        if trained.shape != values.shape:
            raise ModelError(f"{folder}: {key} is of another shape than in the base; train anew")
        return as_gguf(arch, key.removesuffix(".weight"), trained)

    return change


@contextmanager
def _weights(file: Path) -> Iterator[Any]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "pt") as tensors:
            yield tensors
    except SafetensorError as error:
        raise ModelError(f"{file}: damaged ({error}); train anew") from None


def write_lora(target: Path, arch: Architecture, name: str, alpha: float, factors: Factors) -> None:
    """Write a LoRA adapter as llama.cpp reads it, in float16 (format: its convert_lora_to_gguf.py).

    Args:
        alpha: the product counts alpha / rank.
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
