"""Loading a model into vLLM, with its tokeniser and adapter."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from mene.engines.transformers.loaded import Loaded
from mene.errors import ModelError, UsageError
from mene.weights.cache import folder_identity

LORA_RANK = 64  # of adapters; memory is set aside for it


class Model(NamedTuple):
    """A model in vLLM.

    Attributes:
        llm: ``vllm.LLM``; ``adapter`` its ``LoRARequest``, or None.
        texts: tokeniser and chat template, as the Transformers engine reads them: the tokens are the same.
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
    """Load weights; arguments as of ``VLLMEngine``.

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
    if adapter:
        options |= {"enable_lora": True, "max_lora_rank": LORA_RANK, "max_loras": 1}
    try:
        llm = vllm.LLM(model=model, **options)
    except Exception as error:  # what it raises depends on the model, the GPU and the driver
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(
            f"{model}: vLLM cannot load it ({reason}); check the name, the GPU's memory, and that vLLM knows this kind of model"
        ) from None
    request = None
    identity = _identity(model, revision)
    if adapter:
        folder = _folder(adapter)
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

    return Path(huggingface_hub.snapshot_download(adapter))


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
