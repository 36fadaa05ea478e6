"""Loading a model into vLLM, with its tokeniser and adapter."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from mene.engines.transformers.loaded import Loaded
from mene.errors import ModelError, UsageError
from mene.weights.cache import folder_identity
from mene.weights.peft import CONFIG

LORA_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)  # ranks for which vLLM can reserve memory


class Model(NamedTuple):
    """A model in vLLM.

    Attributes:
        llm: ``vllm.LLM``; ``adapter``: its ``LoRARequest``, or None.
        texts: tokeniser and chat template, read by the Transformers engine's code, so that tokens are the same.
    """

    llm: Any
    texts: Loaded
    adapter: Any


def load(
    model: str,
    revision: str | None,
    adapter: str | None,
    dtype: str | None,
    context: int | None,
    **more: Any,
) -> Model:
    """Load weights; arguments as for ``VLLMEngine``.

    Raises:
        ModelError: vLLM is not installed, or cannot load the model (or finds no GPU).
    """
    try:
        import vllm  # pyright: ignore[reportMissingImports]
        from vllm.lora.request import LoRARequest  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ModelError(f'{error.name} is not installed; run: pip install "mene[vllm]"') from None
    options: dict[str, Any] = {
        "enable_prefix_caching": True,
        "dtype": dtype or "auto",
        "disable_log_stats": True,
        **more,
    }
    if context:
        options["max_model_len"] = context
    if revision:
        options["revision"] = revision
    folder = _folder(adapter) if adapter else None
    if folder:
        # vLLM's kernels for a CPU take the last place for a request without adapter (index -1, seen in 0.32), so that one must
        # stay empty: its weights are zeros.
        options |= {"enable_lora": True, "max_lora_rank": _rank(folder), "max_loras": 2}
    try:
        llm = vllm.LLM(model=model, **options)
    except Exception as error:  # depends on the model, the GPU and the driver
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(
            f"{model}: vLLM cannot load it ({reason}); check the name, the GPU's memory, and that vLLM knows this kind of model"
        ) from None
    request = None
    identity = _identity(model, revision)
    if folder:
        request = LoRARequest("judge", 1, str(folder))
        identity += f"+{folder_identity(folder)}"
    config = llm.llm_engine.model_config
    return Model(
        llm, _texts(llm.get_tokenizer(), identity, str(config.dtype), config.max_model_len), request
    )


def _identity(model: str, revision: str | None) -> str:
    path = Path(model).expanduser()
    return folder_identity(path) if path.is_dir() else f"hf:{model}@{revision or 'main'}"


def _folder(adapter: str) -> Path:
    folder = Path(adapter).expanduser()
    if folder.is_dir():
        return folder
    if folder.exists():
        raise UsageError(f"{adapter}: vLLM reads an adapter as a folder (PEFT), not as a file")
    import huggingface_hub

    try:
        return Path(huggingface_hub.snapshot_download(adapter))
    except Exception as error:  # network, hub, or an invalid name
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(
            f"adapter {adapter}: no such folder, and the hub does not give it ({reason}); check the name"
        ) from None


def _rank(folder: Path) -> int:
    """Return the rank for which vLLM must reserve memory to load the adapter in a folder.

    Raises:
        UsageError: the folder holds no adapter, or one whose rank vLLM does not support.
    """
    path = folder / CONFIG
    try:
        config = json.loads(path.read_text("utf-8"))
        rank = max(int(config["r"]), *map(int, (config.get("rank_pattern") or {}).values()), 0)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{path}: cannot read the rank of the adapter ({error}); name a folder that PEFT has written"
        ) from None
    fitting = next((one for one in LORA_RANKS if one >= rank), None)
    if fitting is None:
        raise UsageError(
            f"{path}: rank {rank}, and vLLM reads {LORA_RANKS[-1]} at most; merge the adapter into the weights, and name those"
        )
    return fitting


def _texts(tokenizer: Any, identity: str, dtype: str, context: int) -> Loaded:
    control = set(tokenizer.all_special_tokens) | {
        token.content for token in tokenizer.added_tokens_decoder.values() if token.special
    }
    begin = tokenizer.bos_token_id
    first = tokenizer.encode("a")[:1]
    return Loaded(
        model=None,
        tokenizer=tokenizer,
        identity=f"vllm:{identity}:{dtype.removeprefix('torch.')}",
        device="vllm",
        context=context,
        control_tokens=frozenset(control - {""}),
        stops=frozenset(),
        begin=begin if begin is not None and first == [begin] else None,
        pad=0,
        sliding_window=None,
    )
