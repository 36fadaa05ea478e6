"""Headers of GGUF files: what llama.cpp cannot survive is refused before it sees it. No model is loaded."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mene.errors import ModelError
from mene.export.gguf import read_facts
from mene.judge.preset import load_preset
from mene.weights.convert import convert
from mene.weights.gguf_header import check_adapter, context_of, read_header

U32, I32, F32, TEXT, LIST, U64 = 4, 5, 6, 8, 9, 10
_FORMS = {U32: "<I", I32: "<i", F32: "<f", U64: "<Q"}
TOKENS = [b"<end>", b"<start>", b"a", b"b", b"c"]


def text(value: bytes | str) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(raw)) + raw


def value(kind: int, content: Any) -> bytes:
    if kind == TEXT:
        return text(content)
    if kind == LIST:
        inner, items = content
        packed = b"".join(value(inner, item) for item in items)
        return struct.pack("<IQ", inner, len(items)) + packed
    return struct.pack(_FORMS[kind], content)


Fields = dict[str, tuple[int, Any]]
MODEL: Fields = {
    "general.architecture": (TEXT, "llama"),
    "llama.context_length": (U32, 512),
    "llama.embedding_length": (U32, 8),
    "llama.block_count": (U32, 1),
    "llama.attention.head_count": (U32, 4),
    "llama.attention.head_count_kv": (U32, 2),
    "tokenizer.ggml.model": (TEXT, "gpt2"),
    "tokenizer.ggml.tokens": (LIST, (TEXT, TOKENS)),
    "tokenizer.ggml.token_type": (LIST, (I32, [3, 3, 1, 1, 1])),
    "tokenizer.ggml.eos_token_id": (U32, 0),
    "tokenizer.chat_template": (TEXT, "{% for m in messages %}{{ m.content }}{% endfor %}"),
}
ADAPTER: Fields = {
    "general.architecture": (TEXT, "llama"),
    "general.type": (TEXT, "adapter"),
    "adapter.type": (TEXT, "lora"),
    "adapter.lora.alpha": (F32, 16.0),
}
Table = list[tuple[bytes, tuple[int, ...], int, int]]
TENSORS: Table = [(b"token_embd.weight", (8, 5), 0, 0), (b"output_norm.weight", (8,), 0, 160)]
FACTORS: Table = [(b"blk.0.attn_q.weight.lora_a", (8, 2), 1, 0)]


def gguf(
    fields: Fields,
    tensors: Table = TENSORS,
    *,
    version: int = 3,
    counts: tuple[int, int] | None = None,
    data: int = 192,
) -> bytes:
    out = b"GGUF" + struct.pack("<I", version)
    out += struct.pack("<QQ", *(counts or (len(tensors), len(fields))))
    for key, (kind, content) in fields.items():
        out += text(key) + struct.pack("<I", kind) + value(kind, content)
    for name, shape, form, offset in tensors:
        out += text(name) + struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
        out += struct.pack("<IQ", form, offset)
    return out + bytes(-len(out) % 32) + bytes(data)


def with_field(key: str, kind: int, content: Any) -> bytes:
    return gguf({**MODEL, key: (kind, content)})


def first(*tensor: Any) -> bytes:
    return gguf(MODEL, [tensor, TENSORS[1]])  # type: ignore[list-item]


def test_the_facts_of_a_whole_file(tmp_path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(gguf(MODEL))
    header = read_header(path)
    assert (header.architecture, header.context) == ("llama", 512)
    assert header.kv_values_per_token == 1 * 2 * (2 + 2)
    assert header.control_tokens == {"<end>", "<start>"}
    facts = read_facts(path)
    assert facts.architecture == ("llama", 1, 4, 2)
    assert (facts.context, facts.stop) == (512, "<end>")
    path.write_bytes(gguf(ADAPTER, FACTORS))
    check_adapter(path)


def test_an_adapter_is_no_model_and_a_model_no_adapter(tmp_path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(gguf(ADAPTER, FACTORS))
    with pytest.raises(ModelError, match="an adapter, not a model"):
        read_header(path)
    path.write_bytes(gguf(MODEL))
    with pytest.raises(ModelError, match="not a LoRA adapter"):
        check_adapter(path)
    path.write_bytes(gguf({**ADAPTER, "adapter.lora.alpha": (F32, float("nan"))}, FACTORS))
    with pytest.raises(ModelError, match="alpha is nan"):
        check_adapter(path)


HUGE = 2**62
CONTEXT, BLOCKS, HEADS = "llama.context_length", "llama.block_count", "llama.attention.head_count"
TOKEN, TYPE, CHAT = "tokenizer.ggml.tokens", "tokenizer.ggml.token_type", "tokenizer.chat_template"
DAMAGED = {
    # Sizes that are only said.
    "a version of the future": gguf(MODEL, version=9),
    "fields without end": gguf(MODEL, counts=(2, HUGE)),
    "tensors without end": gguf(MODEL, counts=(HUGE, len(MODEL))),
    "more fields than there are": gguf(MODEL, counts=(2, 9_000)),
    "more tensors than there are": gguf(MODEL, counts=(9_000, len(MODEL))),
    "a long text": b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, HUGE) + bytes(99),
    "a long list": gguf({}, [], counts=(0, 1)) + text("a") + struct.pack("<IIQ", LIST, U32, HUGE),
    "a long list of texts": b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("a") + struct.pack("<IIQ", LIST, TEXT, HUGE),
    "a list of lists": b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("a") + struct.pack("<IIQ", LIST, LIST, 1),
    "an unknown kind": b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("a") + struct.pack("<I", 77),
    "a key that is no text": b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text(b"\xff\xfe") + struct.pack("<II", U32, 1),
    "a key twice": b"GGUF" + struct.pack("<IQQ", 3, 0, 2) + (text("a") + struct.pack("<II", U32, 1)) * 2,
    "cut off in the header": gguf(MODEL)[:300],
    "cut off in the weights": gguf(MODEL)[:-40],
    # The table of tensors.
    "no tensors": gguf(MODEL, []),
    "a tensor twice": gguf(MODEL, [TENSORS[0], TENSORS[0]]),
    "a name too long": first(b"x" * 64, (8, 5), 0, 0),
    "no dimensions": first(b"token_embd.weight", (), 0, 0),
    "too many dimensions": first(b"token_embd.weight", (1,) * 5, 0, 0),
    "nothing in it": first(b"token_embd.weight", (8, 0), 0, 0),
    "a product that overflows": first(b"token_embd.weight", (2**32, 2**32), 0, 0),
    "far outside": first(b"token_embd.weight", (8, 5), 0, 2**63),
    "between the places": first(b"token_embd.weight", (8, 5), 0, 7),
    "half a block": first(b"token_embd.weight", (8, 5), 8, 0),
    "whole numbers as a weight": first(b"token_embd.weight", (8, 5), 26, 0),
    "alignment 0": with_field("general.alignment", U32, 0),
    "alignment 1": with_field("general.alignment", U32, 1),
    "alignment in words": with_field("general.alignment", TEXT, "wide"),
    # Fields that no model has so.
    "no architecture": gguf({k: v for k, v in MODEL.items() if k != "general.architecture"}),
    "architecture as a list": with_field("general.architecture", LIST, (TEXT, ["llama"])),
    "no context": gguf({k: v for k, v in MODEL.items() if k != CONTEXT}),
    "context of 1": with_field(CONTEXT, U32, 1),
    "context of billions": with_field(CONTEXT, U32, 2**32 - 1),
    "context in words": with_field(CONTEXT, TEXT, "many"),
    "context that is no number": with_field(CONTEXT, F32, float("nan")),
    "context as a list": with_field(CONTEXT, LIST, (U32, [])),
    "no layers": with_field(BLOCKS, U32, 0),
    "billions of layers": with_field(BLOCKS, U32, 2**31),
    "an empty list of heads": with_field(HEADS, LIST, (U32, [])),
    "heads in words": with_field(HEADS, LIST, (TEXT, ["two"])),
    "a negative rounding": with_field("llama.attention.layer_norm_rms_epsilon", F32, -1.0),
    "an infinite base": with_field("llama.rope.freq_base", F32, float("inf")),
    "an infinity anywhere": with_field("llama.anything", LIST, (F32, [1.0, float("inf")])),
    "experts that are not used": with_field("llama.expert_count", U32, 4),
    "more experts used than there are": with_field("llama.expert_used_count", U32, 4),
    "more layers ahead than there are": with_field("llama.nextn_predict_layers", U32, 9),
    "an unknown scaling": with_field("llama.rope.scaling.type", TEXT, "wild"),
    "no vocabulary": with_field("tokenizer.ggml.model", TEXT, "none"),
    "tokens as a number": with_field(TOKEN, U32, 5),
    "tokens as numbers": with_field(TOKEN, LIST, (U32, [1] * 5)),
    "no tokens": with_field(TOKEN, LIST, (TEXT, [])),
    "empty tokens": with_field(TOKEN, LIST, (TEXT, [""] * 5)),
    "equal tokens": with_field(TOKEN, LIST, (TEXT, ["a"] * 5)),
    "kinds as a number": with_field(TYPE, U32, 5),
    "fewer kinds than tokens": with_field(TYPE, LIST, (I32, [1])),
    "a template of numbers": with_field(CHAT, U32, 1),
    "a template nested too deep": with_field(CHAT, TEXT, "{{ " + "(" * 9_000),
    "a template that calls itself": with_field(CHAT, TEXT, "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"),
    "a template that goes on": with_field(CHAT, TEXT, "{% for i in range(10 ** 9) %}x{% endfor %}"),
    "a template of millions": with_field(CHAT, TEXT, "{{ 'a' * 3000000 }}"),
    "a template of loops in loops": with_field(CHAT, TEXT, "{% for i in range(90000) %}" * 3 + "x" + "{% endfor %}" * 3),
    "a template that takes seconds": with_field(CHAT, TEXT, "{% for i in range(190000) %}{% set x = 'a' * 9999 %}{% endfor %}"),
    "a template of half a megabyte": with_field(CHAT, TEXT, "{{ 'a' * 500000 }}"),
    "a template that compiles for long": with_field(CHAT, TEXT, "{% if a %}{{ a + 1 }}{% endif %}" * 9_400),
    "a template of one long word": with_field(CHAT, TEXT, "{{ [" + "1, " * 99_000 + "1] }}"),
}  # fmt: skip


@pytest.mark.parametrize("what", DAMAGED)
def test_what_is_damaged_is_one_line_with_the_next_step(tmp_path, what) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(DAMAGED[what])
    for read in (read_header, read_facts, lambda p: convert(p, "Q8_0")):
        with pytest.raises(ModelError) as failed:
            read(path)
        message = str(failed.value)
        assert message.startswith(f"{path}: damaged GGUF file (")
        assert message.endswith("download it again, or give another")
        assert "\n" not in message
        assert len(message) < len(str(path)) + 250
    assert [p.name for p in tmp_path.iterdir() if p.name != ".lock"] == ["m.gguf"]


@pytest.mark.parametrize(
    "content", [b"", b"GG", b"GGUF", b"PK\x03\x04" * 99, b"\x80\x04cos\nsystem\n"]
)
def test_what_is_no_gguf_file_is_said(tmp_path, content) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="not a GGUF file|ends too early"):
        read_header(path)


@pytest.mark.posix
def test_what_is_no_file_is_not_waited_for(tmp_path) -> None:
    os.mkfifo(tmp_path / "pipe.gguf")
    for path in (tmp_path / "pipe.gguf", Path("/dev/zero"), tmp_path):
        with pytest.raises(ModelError, match="not a file"):
            read_header(path)
    with pytest.raises(ModelError, match="no such model file"):
        read_header(tmp_path / "none.gguf")


def test_a_shard_says_how_to_merge_it(tmp_path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(with_field("split.count", U32, 3))
    with pytest.raises(ModelError, match="is one part of a model in several files; merge them"):
        read_header(path)


@given(
    st.lists(
        st.tuples(st.integers(0, len(gguf(MODEL)) - 1), st.integers(0, 255)), min_size=1, max_size=6
    ),
    st.integers(0, len(gguf(MODEL))),
)
def test_any_damage_is_a_header_or_an_error(tmp_path_factory, changes, end) -> None:
    path = tmp_path_factory.getbasetemp() / "any.gguf"
    data = bytearray(gguf(MODEL))
    for place, byte in changes:
        data[place] = byte
    path.write_bytes(data[:end] if end % 3 == 0 else data)
    try:
        header = read_header(path)
    except ModelError as error:
        assert "\n" not in str(error)
    else:
        assert header.context >= 16
        assert header.kv_values_per_token >= 0


def test_the_shipped_adapter_is_one() -> None:
    adapter = load_preset("nano").adapter
    assert adapter
    check_adapter(Path(adapter))


def test_context_is_what_is_wanted_and_never_more_than_was_trained() -> None:
    for wanted, trained, found in (
        (None, 2048, 2048),
        (None, 1 << 20, 8192),
        (512, 2048, 512),
        (1 << 14, 1 << 20, 1 << 14),
        (1 << 14, 2048, 2048),
    ):
        assert context_of(wanted, trained) == found
