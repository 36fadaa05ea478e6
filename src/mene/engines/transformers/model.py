"""Loading for the Transformers engine: folders, hub ids, GGUF files, adapters.

Independent of requests and batches.
"""

from __future__ import annotations

import contextlib
import inspect
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mene.engines.transformers import cpu
from mene.engines.transformers.loaded import Loaded
from mene.errors import ModelError, UsageError
from mene.weights.cache import file_identity, folder_identity
from mene.weights.chat import ENDS_OF_TURN
from mene.weights.gguf_file import read_gguf
from mene.weights.gguf_header import read_header
from mene.weights.gguf_tokenizer import READING, adds_begin, named_tokens, tokenizer_of

DTYPES = ("float32", "bfloat16", "float16")


def load(
    model: str,
    revision: str | None,
    adapter: str | None,
    dtype: str | None,
    device: str | None,
    *,
    frozen_head: bool = True,
) -> Loaded:
    """Load weights and tokeniser; arguments as in ``TransformersEngine``.

    Args:
        frozen_head: the output matrix is not trained, so a float32 copy of it computes the logits.
    """
    try:
        import torch
        import transformers
    except ImportError as error:
        raise ModelError(
            f'{error.name} is not installed; run: pip install "mene[transformers]"'
        ) from None
    if dtype is not None and dtype not in DTYPES:
        raise UsageError(f"unknown dtype {dtype!r}; one of {', '.join(DTYPES)}")
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ModelError(
            "this PyTorch sees no GPU; use device cpu, or install a CUDA build of torch"
        )
    dtype = dtype or ("float32" if device == "cpu" else "bfloat16")
    source, options, identity = _source(model, revision)
    with _quiet(silent="gguf_file" in options):
        try:
            tokenizer = _tokenizer(source, options)
            # Without a device map, weights would first be assembled in main memory.
            place: dict[str, Any] = {} if device == "cpu" else {"device_map": {"": device}}
            if "gguf_file" in options and hasattr(transformers, "GgufConfig"):
                # Later versions keep the weights packed and unpack them at every step.
                place["quantization_config"] = transformers.GgufConfig(dequantize=True)
            network: Any = transformers.AutoModelForCausalLM.from_pretrained(
                source, dtype=getattr(torch, dtype), **options, **place
            )
        except Exception as error:  # the various loaders raise various errors
            raise ModelError(_cannot_load(model, error)) from None
        if getattr(network, "_is_stateful", False):
            raise ModelError(
                f"{model}: models with a recurrent state cannot share computation between rows; "
                "use the llama.cpp engine or a server"
            )
        if adapter is not None:
            network, adapter_identity = _adapt(network, adapter)
            identity += f"+{adapter_identity}"
    network.eval()
    attention = getattr(network.config.get_text_config(), "_attn_implementation", None)
    if device == "cpu":
        cpu.keep_memory()
        if dtype == "bfloat16" and attention == "sdpa":
            cpu.use_attention(network)
    if frozen_head:
        _float32_head(network)
    config = network.config.get_text_config()
    if identity.startswith("hf:"):
        commit = getattr(network.config, "_commit_hash", None)
        identity = identity.replace("@", f"@{commit or revision or 'main'}", 1)
    control = set(tokenizer.all_special_tokens) | {
        token.content for token in tokenizer.added_tokens_decoder.values() if token.special
    }
    probe = tokenizer.encode("a")
    begin = tokenizer.bos_token_id
    window = tokenizer.model_max_length
    trained = getattr(config, "max_position_embeddings", None)
    # Tokenisers without a limit state 10^30.
    lengths = [n for n in (trained, window) if n is not None and 1 < n < 10**9]
    accepts = frozenset(inspect.signature(network.forward).parameters)
    return Loaded(
        model=network,
        tokenizer=tokenizer,
        identity=f"transformers:{identity}:{dtype}",
        device=device,
        context=min(lengths, default=None),
        control_tokens=frozenset(control - {""}),
        stops=_stops(network, tokenizer, control),
        begin=begin if begin is not None and probe[:1] == [begin] else None,
        pad=next(t for t in (tokenizer.pad_token_id, tokenizer.eos_token_id, 0) if t is not None),
        sliding_window=_sliding_window(config),
        trees="position_ids" in accepts and attention in ("sdpa", "eager"),
        accepts=accepts,
        merged=adapter is not None,
    )


def _source(model: str, revision: str | None) -> tuple[str, dict[str, Any], str]:
    """Return the source and the options for ``from_pretrained``, and the identity so far."""
    path = Path(model).expanduser()
    if path.is_dir():
        return str(path), {}, folder_identity(path)
    if path.is_file():
        if path.suffix != ".gguf":
            raise ModelError(f"{model}: not a model; give a folder, a .gguf file or a hub id")
        read_header(path)  # Transformers would trust the header
        return str(path.parent), {"gguf_file": path.name}, f"{file_identity(path)}:tokens{READING}"
    if path.is_absolute() or model[0] in ".~" or model.count("/") > 1 or path.suffix == ".gguf":
        raise ModelError(f"{model}: no such file or folder; check the path")
    return model, {"revision": revision} if revision else {}, f"hf:{model}@"


def _tokenizer(source: str, options: dict[str, Any]) -> Any:
    """Return the tokeniser of a model. That of a GGUF file is read as llama.cpp reads it.

    Transformers builds the same tokeniser for every GGUF file of one type and ignores how the file says to split text: for
    SmolLM2, "12345" gets fewer tokens than in training.
    """
    import transformers

    if "gguf_file" in options:
        fields = read_gguf(Path(source) / options["gguf_file"]).fields
        with contextlib.suppress(ModelError):  # a type that is not supported there
            return _of_gguf(fields)
    return transformers.AutoTokenizer.from_pretrained(source, **options)


def _of_gguf(fields: dict[str, Any]) -> Any:
    import transformers
    from tokenizers import processors

    made, named = tokenizer_of(fields), named_tokens(fields)
    if adds_begin(fields) and (begin := named.get("bos_token")):
        made.post_processor = processors.TemplateProcessing(
            single=[begin, "$A"], special_tokens=[(begin, made.token_to_id(begin))]
        )
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, clean_up_tokenization_spaces=False, **named
    )
    tokenizer.chat_template = fields.get("tokenizer.chat_template")
    return tokenizer


def _cannot_load(model: str, error: Exception) -> str:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    if Path(model).expanduser().exists():
        return f"{model}: cannot be loaded ({reason}); check that the download is complete"
    return (
        f"{model}: neither in the local cache nor on the hub ({reason}); "
        f"check the name, or run `hf download {model}` where there is a network"
    )


def _adapt(network: Any, adapter: str) -> tuple[Any, str]:
    """Return the model with a PEFT adapter merged into its weights, and the adapter's identity."""
    try:
        import peft  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise ModelError('peft is not installed; run: pip install "mene[transformers]"') from None
    import huggingface_hub

    try:
        folder = Path(adapter).expanduser()
        if not folder.is_dir():
            patterns = ["*.json", "*.safetensors", "*.bin"]
            folder = Path(huggingface_hub.snapshot_download(adapter, allow_patterns=patterns))
        merged = peft.PeftModel.from_pretrained(network, str(folder)).merge_and_unload()
    except Exception as error:
        raise ModelError(_cannot_load(adapter, error)) from None
    return merged, folder_identity(folder)


def _float32_head(network: Any) -> None:
    """Make the output matrix compute in float32.

    Logits near 20 are 0.1 apart in bfloat16, enough to change a close verdict. The copy takes 1 to 2 GB in a model of 8 billion
    weights.
    """
    import torch

    head = network.get_output_embeddings()
    if type(head) is not torch.nn.Linear or head.weight.dtype == torch.float32:
        return
    weight = head.weight.detach().float()
    bias = None if head.bias is None else head.bias.detach().float()

    def forward(input: Any) -> Any:
        # In training, autocast would round again.
        with torch.autocast(weight.device.type, enabled=False):
            return torch.nn.functional.linear(input.float(), weight, bias)

    head.forward = forward


def _stops(network: Any, tokenizer: Any, control: set[str]) -> frozenset[int]:
    named = [
        tokenizer.eos_token_id,
        getattr(network.config.get_text_config(), "eos_token_id", None),
        getattr(getattr(network, "generation_config", None), "eos_token_id", None),
        [tokenizer.convert_tokens_to_ids(token) for token in ENDS_OF_TURN & control],
    ]
    lists = [ids if isinstance(ids, list) else [ids] for ids in named]
    return frozenset(i for ids in lists for i in ids if i is not None)


def _sliding_window(config: Any) -> int | None:
    """Return the shortest attention window of the layers, in tokens; None if all are unlimited."""
    kinds = set(getattr(config, "layer_types", None) or ())
    sizes = [getattr(config, "sliding_window", None), getattr(config, "attention_chunk_size", None)]
    if kinds <= {"full_attention"} and (kinds or not getattr(config, "use_sliding_window", True)):
        return None
    return min((size for size in sizes if size), default=None)


@contextlib.contextmanager
def _quiet(silent: bool) -> Iterator[None]:
    """Suppress warnings and progress bars of transformers; ``silent``: all standard error."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    # The GGUF reader's progress bar cannot be switched off.
    hush = contextlib.redirect_stderr(io.StringIO()) if silent else contextlib.nullcontext()
    try:
        with hush:
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
