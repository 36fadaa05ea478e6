"""The tokeniser of a GGUF file, built with the package ``tokenizers``.

A GGUF file has vocabulary and merges, and names the rule that splits text into words. The rules are llama.cpp's
(src/llama-vocab.cpp), here for the models that the OpenVINO engine supports.
"""

from __future__ import annotations

from typing import Any

from mene.errors import ModelError

# Version of this tokenisation, part of the Transformers engine's ``Engine.identity``, so that a ledger's verdicts come from
# the current tokens. Increase it whenever some text gets other tokens. 1 was
# Transformers' own.
READING = 2

_LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_QWEN2 = _LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
# Name in ``tokenizer.ggml.pre`` -> pattern of a word; "" is GPT-2's own; digits: each separately.
_WORDS = {
    "llama-bpe": _LLAMA3, "llama3": _LLAMA3, "llama-v3": _LLAMA3, "falcon3": _LLAMA3,
    "qwen2": _QWEN2, "deepseek-r1-qwen": _QWEN2, "megrez": _QWEN2,
    "gpt-2": "", "default": "", "smollm": "digits", "refact": "digits", "command-r": "digits",
}  # fmt: skip
_UNKNOWN, _CONTROL, _OWN = 2, 3, 4  # llama_token_type


def check_tokenizer(fields: dict[str, Any]) -> None:
    """Check that the type of tokeniser is supported.

    Raises:
        ModelError: it is not.
    """
    kind = fields.get("tokenizer.ggml.model")
    if kind not in ("gpt2", "llama"):
        raise ModelError(f"its tokeniser is of the kind {kind!r}, which this engine does not know")
    name = fields.get("tokenizer.ggml.pre", "default")
    if kind == "gpt2" and (not isinstance(name, str) or name not in _WORDS):
        raise ModelError(f"its tokeniser divides text as {name!r}, which this engine does not know")
    needed = "merges" if kind == "gpt2" else "scores"
    if not isinstance(found := fields.get(f"tokenizer.ggml.{needed}"), list):
        raise ModelError(f"its tokeniser has no list of {needed}")
    if kind == "gpt2" and not all(isinstance(pair, bytes) and b" " in pair for pair in found):
        raise ModelError("not all merges of its tokeniser are two texts")
    for name in ("add_bos_token", "add_space_prefix"):
        if not isinstance(value := fields.get(f"tokenizer.ggml.{name}", False), bool):
            raise ModelError(f"tokenizer.ggml.{name} is {value!r:.40}, and not true or false")


def tokenizer_of(fields: dict[str, Any]) -> Any:
    """Build a ``tokenizers.Tokenizer`` from the fields of a GGUF file.

    Control tokens are recognised unless its ``encode_special_tokens`` is set. It adds no begin-of-text.

    Raises:
        ModelError: its type is not supported.
    """
    check_tokenizer(fields)
    kind = fields["tokenizer.ggml.model"]
    texts = [text.decode("utf-8", "replace") for text in fields["tokenizer.ggml.tokens"]]
    made = _byte_level(fields, texts) if kind == "gpt2" else _sentence_piece(fields, texts)
    _add_control(made, texts, fields.get("tokenizer.ggml.token_type", []))
    return made


def adds_begin(fields: dict[str, Any]) -> bool:
    """Return whether prompts begin with the begin-of-text token."""
    usual = fields.get("tokenizer.ggml.model") == "llama" or fields.get("tokenizer.ggml.pre") in (
        "llama-bpe",
        "llama3",
        "llama-v3",
        "falcon3",
    )
    return bool(fields.get("tokenizer.ggml.add_bos_token", usual))


def named_tokens(fields: dict[str, Any]) -> dict[str, str]:
    """Return the texts of special tokens under their Transformers names: ``bos_token``, ``eos_token``, …"""
    texts = fields["tokenizer.ggml.tokens"]
    found = {}
    for name, short in (("bos", "bos"), ("eos", "eos"), ("padding", "pad"), ("unknown", "unk")):
        number = fields.get(f"tokenizer.ggml.{name}_token_id", -1)
        if type(number) is int and 0 <= number < len(texts):
            found[f"{short}_token"] = texts[number].decode("utf-8", "replace")
    return found


def _byte_level(fields: dict[str, Any], texts: list[str]) -> Any:
    """Build GPT-2's type: bytes as letters, merges in order."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

    merges = [
        tuple(merge.decode("utf-8", "replace").split(" ", 1))
        for merge in fields["tokenizer.ggml.merges"]
    ]
    vocabulary = {text: number for number, text in enumerate(texts)}
    pattern = _WORDS[fields.get("tokenizer.ggml.pre", "default")]
    made = Tokenizer(
        models.BPE(vocabulary, merges, ignore_merges=pattern == _LLAMA3)  # as in llama.cpp
    )
    if pattern in ("", "digits"):
        steps: list[Any] = [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)]
        if pattern:
            steps.insert(0, pre_tokenizers.Digits(individual_digits=True))
    else:
        steps = [
            pre_tokenizers.Split(Regex(pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    made.pre_tokenizer = pre_tokenizers.Sequence(steps)
    made.decoder = decoders.ByteLevel()
    return made


def _sentence_piece(fields: dict[str, Any], texts: list[str]) -> Any:
    """Build Llama 2's type: pairs whose text has the best score are merged; bytes for what the vocabulary lacks.

    Unlike in llama.cpp, a token whose letters are in the vocabulary only as bytes (seen: two line breaks) is not found.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers

    scores = fields["tokenizer.ggml.scores"]
    kinds = fields.get("tokenizer.ggml.token_type", [])
    vocabulary = {text: number for number, text in enumerate(texts)}
    found = []
    for number, text in enumerate(texts):
        if kinds and kinds[number] in (_UNKNOWN, _CONTROL):
            continue  # not reachable by merging letters
        splits = [(text[:at], text[at:]) for at in range(1, len(text))]
        found += [(-scores[number], vocabulary[a], vocabulary[b], a, b)
                  for a, b in splits if a in vocabulary and b in vocabulary]  # fmt: skip
    found.sort(key=lambda merge: merge[0])
    unknown = next((texts[n] for n, kind in enumerate(kinds) if kind == _UNKNOWN), None)
    made = Tokenizer(
        models.BPE(
            vocabulary,
            [(a, b) for *_, a, b in found],
            unk_token=unknown,
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    steps: list[Any] = [normalizers.Replace(" ", "▁")]
    if fields.get("tokenizer.ggml.add_space_prefix", True):
        steps.insert(0, normalizers.Prepend("▁"))
    made.normalizer = normalizers.Sequence(steps)
    made.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    return made


def _add_control(made: Any, texts: list[str], kinds: list[int]) -> None:
    """Add the tokens that are not text, and those that are matched as a whole in text.

    Their ids stay those of the vocabulary, which contains these tokens too.
    """
    from tokenizers import AddedToken

    marked = [(text, kind) for text, kind in zip(texts, kinds, strict=False) if text]
    made.add_special_tokens(
        [
            AddedToken(text, special=True, normalized=False)
            for text, kind in marked
            if kind in (_UNKNOWN, _CONTROL)
        ]
    )
    made.add_tokens(
        [AddedToken(text, special=False, normalized=False) for text, kind in marked if kind == _OWN]
    )
