"""Small models of random weights as GGUF files, and as Transformers has them."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from tokenizers import pre_tokenizers

from mene.weights.gguf_file import read_gguf

Q8_0 = gguf.GGMLQuantizationType.Q8_0


def tiny_gguf(
    path: Path,
    kind: str,
    tokens_of: Path,
    form: str = "F32",
    factors: bool = False,
    **settings: Any,
) -> Any:
    """Write a model of random weights, with the tokeniser of another GGUF file.

    Args:
        kind: Llama, Qwen2 or Qwen3.
        form: the number format of its matrices.
        factors: write Llama 3's factors of the rotary frequencies too.
        settings: of Transformers' config.

    Returns:
        the model in Transformers, with what the file's numbers are when they are unpacked.
    """
    import torch
    import transformers

    fields = read_gguf(tokens_of).fields
    torch.manual_seed(1)
    sizes = {
        "vocab_size": len(fields["tokenizer.ggml.tokens"]),
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "max_position_embeddings": 4096,
        "initializer_range": 0.2,
        "tie_word_embeddings": False,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        **settings,
    }
    if factors:
        sizes["rope_scaling"] = {
            "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 64,
        }  # fmt: skip
    config = getattr(transformers, f"{kind}Config")(**sizes)
    model = getattr(transformers, f"{kind}ForCausalLM")(config).eval()
    for name, parameter in model.named_parameters():  # norms and biases begin as ones and zeros
        if parameter.ndim == 1:
            torch.nn.init.normal_(parameter.data, float("norm" in name), 0.1)
    _write(path, model, kind.lower(), config, fields, form, factors)
    return model


def last_layers(source: Path, target: Path, layers: int = 4, of: int = 30) -> Path:
    """Write a model of the last layers of another one, or an adapter of them: bit for bit, and as many times as fast.

    It would be all too sure of what it says: its last norm is a quarter of the other's, so that labels' probabilities are
    of the same order, and whatever goes wrong on the way there moves them.

    Args:
        of: how many layers the other one has.
    """
    found = read_gguf(source)
    writer = gguf.GGUFWriter(target, found.fields["general.architecture"])
    for key, value in found.fields.items():
        if key in ("general.architecture", "general.alignment"):  # the writer's own
            continue
        kind, inner = (n if n is None else gguf.GGUFValueType(n) for n in found.kinds[key])
        value = layers if key.endswith(".block_count") else value
        writer.add_key_value(key, value, kind, sub_type=inner)
    data = np.memmap(source, mode="r")
    for tensor in found.tensors:
        name = tensor.name
        if numbered := re.match(r"blk\.(\d+)\.", name):
            number = int(numbered[1]) - (of - layers)
            if number < 0:
                continue
            name = f"blk.{number}.{name[numbered.end() :]}"
        form = gguf.GGMLQuantizationType(tensor.form)
        block, size = gguf.GGML_QUANT_SIZES[form]
        *more, last = tensor.shape[::-1]
        shape = (*more, last // block * size)
        at = found.start + tensor.offset
        raw = data[at : at + math.prod(shape)].reshape(shape)
        if name == "output_norm.weight":
            raw = (raw.view(np.float32) / 4).view(np.uint8)
        writer.add_tensor(name, raw, raw_dtype=form)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target


def mini_gguf(path: Path, arch: str = "llama", **changes: Any) -> Path:
    """Write the smallest model there can be: bytes and a few words, one layer. Needs no PyTorch, and takes no time.

    Args:
        changes: other fields, dots as ``__`` (``llama.block_count`` is ``llama__block_count``); None leaves one out.
    """
    letters = [*pre_tokenizers.ByteLevel.alphabet()]
    merges = ["y e", "ye s", "n o", "Ġ yes", "Ġ no"]
    tokens = ["<|end|>", "<|begin|>", *sorted(letters), *(m.replace(" ", "") for m in merges)]
    fields: dict[str, Any] = {
        f"{arch}.context_length": 512,
        f"{arch}.embedding_length": 32,
        f"{arch}.block_count": 1,
        f"{arch}.feed_forward_length": 32,
        f"{arch}.attention.head_count": 2,
        f"{arch}.attention.head_count_kv": 1,
        f"{arch}.attention.layer_norm_rms_epsilon": 1e-5,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "smollm",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [3, 3] + [1] * (len(tokens) - 2),
        "tokenizer.ggml.merges": merges,
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 0,
        "tokenizer.ggml.add_bos_token": False,
        "tokenizer.chat_template": "{% for m in messages %}<|begin|>{{ m.content }}<|end|>{% endfor %}",
    }
    fields |= {key.replace("__", "."): value for key, value in changes.items()}
    writer = gguf.GGUFWriter(path, arch)
    adders = {bool: writer.add_bool, int: writer.add_uint32, float: writer.add_float32,
              str: writer.add_string, list: writer.add_array}  # fmt: skip
    for key, value in fields.items():
        if value is not None:
            adders[type(value)](key, value)
    random = np.random.default_rng(0)
    shapes = {"token_embd": (len(tokens), 32), "blk.0.attn_q": (32, 32), "blk.0.attn_k": (16, 32), "blk.0.attn_v": (16, 32),
              "blk.0.attn_output": (32, 32), "blk.0.ffn_gate": (32, 32), "blk.0.ffn_up": (32, 32), "blk.0.ffn_down": (32, 32)}  # fmt: skip
    if arch == "phi3":  # q, k and v in one matrix, and so gate and up
        del (
            shapes["blk.0.attn_q"],
            shapes["blk.0.attn_k"],
            shapes["blk.0.attn_v"],
            shapes["blk.0.ffn_gate"],
        )
        shapes |= {
            "blk.0.attn_qkv": (64, 32),
            "blk.0.ffn_up": (64, 32),
            "output": (len(tokens), 32),
        }
    if arch == "qwen2":
        for name, size in (("q", 32), ("k", 16), ("v", 16)):
            writer.add_tensor(f"blk.0.attn_{name}.bias", np.zeros(size, np.float32))
    for name, shape in shapes.items():
        packed = gguf.quantize(random.normal(0, 0.3, shape).astype(np.float32), Q8_0)
        writer.add_tensor(f"{name}.weight", packed, raw_dtype=Q8_0)
    for name in ("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"):
        writer.add_tensor(f"{name}.weight", np.ones(32, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def tiny_folder(folder: Path, kind: str, dtype: str, **settings: Any) -> Path:
    """Write a model of random weights as Transformers saves it: bytes and a few words, two layers.

    Args:
        kind: Llama, Mistral, Qwen2 or Qwen3.
        dtype: of the weights, e.g. ``bfloat16``.
        settings: of Transformers' config.
    """
    import tokenizers
    import torch
    import transformers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("y", "e"), ("ye", "s"), ("n", "o"), ("Ġ", "yes"), ("Ġ", "no")]
    texts = ["<|endoftext|>", "<|begin|>", *letters, *(a + b for a, b in merges)]
    made: Any = tokenizers.Tokenizer(
        tokenizers.models.BPE({text: number for number, text in enumerate(texts)}, merges)
    )
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = tokenizers.decoders.ByteLevel()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=made,
        bos_token="<|begin|>",
        **dict.fromkeys(("eos_token", "pad_token", "unk_token"), "<|endoftext|>"),
    )
    tokenizer.chat_template = (
        "{% for m in messages %}<|begin|>{{ m.content }}<|endoftext|>{% endfor %}<|begin|>"
    )
    torch.manual_seed(1)
    sizes = {
        "vocab_size": len(texts) + 3, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 1024,
        "initializer_range": 0.3, "bos_token_id": 1, "eos_token_id": 0, **settings,
    }  # fmt: skip
    config = getattr(transformers, f"{kind}Config")(**sizes)
    model = getattr(transformers, f"{kind}ForCausalLM")(config)
    for name, parameter in model.named_parameters():  # norms and biases begin as ones and zeros
        if parameter.ndim == 1:
            torch.nn.init.normal_(parameter.data, float("norm" in name), 0.1)
    model.to(getattr(torch, dtype)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _write(
    path: Path, model: Any, arch: str, config: Any, fields: dict[str, Any], form: str, factors: bool
) -> None:
    import torch

    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH[arch.upper()], config.num_hidden_layers)
    writer = gguf.GGUFWriter(path, arch)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(config.head_dim)
    texts = {"tokenizer.ggml.tokens", "tokenizer.ggml.merges"}
    for key, value in fields.items():
        if not key.startswith("tokenizer."):
            continue
        if key in texts:
            writer.add_array(key, [text.decode("utf-8", "replace") for text in value])
        elif isinstance(value, list):
            writer.add_array(key, value)
        elif isinstance(value, bool):
            writer.add_bool(key, value)
        elif isinstance(value, int):
            writer.add_uint32(key, value)
        else:
            writer.add_string(key, value)
    wanted = gguf.GGMLQuantizationType[form]
    state = model.state_dict()
    for name, tensor in state.items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        values = tensor.float().numpy()
        place = names.get_name(name, try_suffixes=(".weight", ".bias"))
        assert place is not None, name
        turned = arch == "llama" and ("q_proj" in name or "k_proj" in name)
        if turned:
            values = _pairs(values, config.head_dim)
        if values.ndim == 2:
            packed = gguf.quantize(values, wanted)
            values = gguf.dequantize(packed, wanted)
            writer.add_tensor(place, packed, raw_dtype=wanted)
        else:
            writer.add_tensor(place, values)
        values = _halves(values, config.head_dim) if turned else values
        state[name].copy_(torch.from_numpy(np.array(values)))
    if factors:
        inverse = model.model.rotary_emb.inv_freq.numpy()
        plain = 10000.0 ** (-np.arange(0, config.head_dim, 2) / config.head_dim)
        writer.add_tensor("rope_freqs.weight", (plain / inverse).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _pairs(values: np.ndarray, size: int) -> np.ndarray:
    """Rows of q or k as llama.cpp has them: the two halves of a head, alternating."""
    heads = len(values) // size
    return values.reshape(heads, 2, size // 2, -1).swapaxes(1, 2).reshape(values.shape)


def _halves(values: np.ndarray, size: int) -> np.ndarray:
    heads = len(values) // size
    return values.reshape(heads, size // 2, 2, -1).swapaxes(1, 2).reshape(values.shape)
