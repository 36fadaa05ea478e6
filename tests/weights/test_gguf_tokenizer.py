"""Tokenisers made from GGUF files: the tokens are llama.cpp's, and the text comes back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from tokenizers import pre_tokenizers

from mene.engines.llamacpp.engine import LlamaCppEngine
from mene.errors import ModelError
from mene.weights.gguf_file import read_gguf
from mene.weights.gguf_tokenizer import adds_begin, check_tokenizer, named_tokens, tokenizer_of

# Where tokenisers differ: digits, spaces at ends and in rows, marks, what only looks like a letter or a digit.
PIECES = [
    "12345", "3.14", "½", "Ⅻ", "²", "١٢", "  ", "   \n", "\t", "\r\n", "\n\n\n", "\u00a0", "\u2028", "\u3000", "\u200b", "\x85",
    "don't", "I'LL", "’s", "'S", "naïve", "e\u0301", "ﬁ", "日本語", "👍🏽", "👩‍👩‍👧", "\x00", "\x7f", "__init__", "->", "...", "#$%",
    "<|im_start|>", "<|im_end|>", "<|im_", "|>", "<|endoftext|>", "\ufffd", "\U0010ffff", "ǅ", "ꙮ", "a" * 40,
]  # fmt: skip
texts = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    st.lists(st.sampled_from([*PIECES, " ", "word"]), max_size=8).map("".join),
)


@pytest.fixture(scope="module")
def fields(small_model: Path) -> dict[str, Any]:
    return read_gguf(small_model).fields


@pytest.fixture(scope="module")
def made(fields: dict[str, Any]) -> Any:
    return tokenizer_of(fields)


@pytest.fixture(scope="module")
def llamacpp(small_model: Path) -> Iterator[LlamaCppEngine]:
    engine = LlamaCppEngine(small_model, context=256)
    yield engine
    engine.close()


as_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)


def ids(made: Any, text: str, control: bool) -> list[int]:
    made.encode_special_tokens = not control
    return made.encode(text, add_special_tokens=False).ids


@settings(max_examples=150)
@given(text=texts, control=st.booleans())
@example("It's 12345  tokens\n\n\n of\t\ttext, I'LL say.   ", True)
@example("<|im_start|>user\nhi<|im_end|>", True)
@example("<|im_start|>user\nhi<|im_end|>", False)
@example("", True)
def test_tokens_are_those_of_llamacpp(
    made: Any, llamacpp: LlamaCppEngine, text: str, control: bool
) -> None:
    assert ids(made, text, control) == llamacpp._texts._tokenize(text, control)


@given(text=texts)
@example("\x13\U00040000")
def test_the_text_comes_back(made: Any, text: str) -> None:
    # SmolLM2 has no tokens for 21 bytes, those of characters that nobody writes.
    [(as_letters, _)] = as_bytes.pre_tokenize_str(text) or [("", ())]
    assume(all(made.token_to_id(letter) is not None for letter in as_letters))
    for control in (True, False):
        assert made.decode(ids(made, text, control), skip_special_tokens=False) == text


def test_control_tokens_are_left_out_of_a_text(made: Any) -> None:
    found = ids(made, "one<|im_end|>\ntwo", True)
    assert made.decode(found, skip_special_tokens=True) == "one\ntwo"


def test_named_tokens(fields: dict[str, Any]) -> None:
    found = named_tokens(fields)
    assert found["bos_token"] == "<|im_start|>"
    assert found["eos_token"] == found["pad_token"] == "<|im_end|>"
    assert named_tokens({**fields, "tokenizer.ggml.bos_token_id": 10**9}).keys() == found.keys() - {"bos_token"}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"tokenizer.ggml.model": "t5"}, "tokeniser is of the kind 't5'"),
        ({"tokenizer.ggml.model": None}, "tokeniser is of the kind None"),
        ({"tokenizer.ggml.pre": "tekken"}, "divides text as 'tekken'"),
    ],
)
def test_what_is_not_known(changes: dict[str, Any], reason: str, fields: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match=reason):
        check_tokenizer({**fields, **changes})


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ({"tokenizer.ggml.model": "llama"}, True),
        ({"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "llama-bpe"}, True),
        ({"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "qwen2"}, False),
        ({"tokenizer.ggml.model": "llama", "tokenizer.ggml.add_bos_token": False}, False),
        ({"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.add_bos_token": True}, True),
    ],
)
def test_begin_of_text(own: dict[str, Any], expected: bool) -> None:
    assert adds_begin(own) is expected


def sentence_piece(*pieces: str, **more: Any) -> dict[str, Any]:
    """Fields of Llama 2's kind: bytes, letters, and longer pieces, the first the best."""
    letters = sorted({letter for piece in pieces for letter in piece})
    longer = [piece for piece in pieces if len(piece) > 1]
    texts = ["<unk>", "<s>", "</s>", *(f"<0x{n:02X}>" for n in range(256)), *longer, *letters]
    kinds = [2, 3, 3, *[6] * 256, *[1] * (len(longer) + len(letters))]
    scores = [0.0] * 259 + [float(-n) for n in range(len(longer))] + [-1e9] * len(letters)
    return {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": [text.encode() for text in texts],
        "tokenizer.ggml.token_type": kinds,
        "tokenizer.ggml.scores": scores,
        **more,
    }


def pieces_of(fields: dict[str, Any], text: str) -> list[str]:
    names = fields["tokenizer.ggml.tokens"]
    return [names[n].decode() for n in ids(tokenizer_of(fields), text, True)]


def test_pairs_with_the_best_score_join_first() -> None:
    fields = sentence_piece("bc", "▁a", "ab", "▁ab", "▁")
    assert pieces_of(fields, "abc") == ["▁a", "bc"]  # "ab" would come third
    assert pieces_of(fields, "c a") == ["▁", "c", "▁a"]
    assert pieces_of(fields, "é</s>") == ["▁", "<0xC3>", "<0xA9>", "</s>"]
    bare = {**fields, "tokenizer.ggml.add_space_prefix": False}
    assert pieces_of(bare, "abc") == ["a", "bc"]


@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="▁"), max_size=30))
def test_bytes_stand_in_for_what_the_vocabulary_lacks(text: str) -> None:
    fields = sentence_piece("▁t", "he", "▁the", "in", "▁")
    made = tokenizer_of({**fields, "tokenizer.ggml.add_space_prefix": False})
    assert made.decode(ids(made, text, False), skip_special_tokens=False) == text
