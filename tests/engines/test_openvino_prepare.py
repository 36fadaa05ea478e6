"""The prepared form of a model on the disk: made once, whole or not at all, and never used when it is damaged."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import shutil
from collections import namedtuple
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import mini_gguf

from mene.engines.base import Request
from mene.engines.in_process.aside import LEAST, Aside
from mene.engines.openvino.dtype import Dtype
from mene.engines.openvino.engine import OpenVINOEngine
from mene.engines.openvino.prepare import (
    FACTS,
    FILES,
    GRAPH,
    SUMS,
    TOKENS,
    WEIGHTS,
    place_of,
    prepare,
)
from mene.errors import ModelError
from mene.export.gguf import Architecture, write_lora
from mene.message import Message

pytest.importorskip("openvino")

Disk = namedtuple("Disk", "total used free")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("MENE_CACHE", str(folder))
    return folder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return mini_gguf(tmp_path / "mini.gguf")


def answer(path: Path, adapter: Path | None = None) -> dict[str, float]:
    engine = OpenVINOEngine(path, adapters=[adapter] if adapter else [], threads=1)
    request = Request(0, (Message("user", "Is it so?"),), ("yes", "no"), "", "So:")
    [done] = engine.run([request])
    engine.close()
    assert done.error is None and done.probabilities is not None
    return done.probabilities


def left_in(cache: Path) -> list[str]:
    """What is in the cache and no lock."""
    return sorted(f.name for f in (cache / "openvino").glob("*") if f.suffix != ".lock")


def flip(path: Path) -> None:
    """Change one bit in the middle."""
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)


def test_arrays_put_aside_are_in_the_file(tmp_path: Path) -> None:
    """Kept in memory, a graph's weights took as much as they have until the model was loaded, beside OpenVINO's own."""
    random = np.random.default_rng(0)
    arrays = [random.integers(0, 255, size, np.uint8) for size in (10, LEAST + 1, 3 * LEAST)]
    arrays.append(random.normal(size=(300, 200)).astype(np.float32).T)
    with Aside(tmp_path / "aside") as aside:
        found = [aside(array) for array in arrays]
        assert [isinstance(array, np.memmap) for array in found] == [False, True, True, True]
        for one, other in zip(found, arrays, strict=True):
            np.testing.assert_array_equal(one, other)
    assert not (tmp_path / "aside").exists()


def test_each_form_is_its_own_whatever_a_file_is_called(model: Path, cache: Path) -> None:
    named = model.with_name("mini-int8.gguf")
    named.write_bytes(model.read_bytes())
    asked: list[tuple[Path, Dtype]] = [
        (model, "int8"), (named, "float32"), (model, "int8"), (model, "bfloat16"), (model, "float32"),
    ]  # fmt: skip
    for path, dtype in asked:
        made = prepare(path, dtype=dtype)
        assert json.loads((made.graph.parent / FACTS).read_text())["dtype"] == dtype


def test_made_once(model: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    first = prepare(model, tell=told.append)
    assert told == ["mini.gguf: its form for OpenVINO is made, once …"]
    monkeypatch.setattr("mene.engines.openvino.prepare._make", never)
    again = prepare(model, tell=told.append)
    assert len(told) == 1
    assert again.feed.tokenizer.to_str() == first.feed.tokenizer.to_str()
    assert (again.graph, again.feed.context, again.feed.stops) == (first.graph, 512, frozenset({0}))
    # The same weights under another name are the same weights.
    assert left_in(cache) == [place_of(model).name]
    known = json.loads((cache / "hashes.json").read_text())
    assert all(Path(key.split("|")[0]).exists() for key in known)


def never(*_: Any) -> None:
    raise AssertionError("made again")


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def rewrite(content: Any) -> Callable[[Path], None]:
    return lambda path: path.write_text(json.dumps(content))


DAMAGES: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "a bit in the weights": (WEIGHTS, flip),
    "a bit in the graph": (GRAPH, flip),
    "a bit in the tokeniser": (TOKENS, flip),
    "a bit in the facts": (FACTS, flip),
    "a bit in the sums": (SUMS, flip),
    "half a graph": (GRAPH, truncate),
    "half of the weights": (WEIGHTS, truncate),
    "no facts": (FACTS, Path.unlink),
    "no sums": (SUMS, Path.unlink),
    "no weights": (WEIGHTS, Path.unlink),
    "facts of another form": (FACTS, rewrite({"template": 1})),
    "sums of another form": (SUMS, rewrite([])),
    "sums of nothing": (SUMS, rewrite({})),
    "sums that are numbers": (SUMS, rewrite(dict.fromkeys(FILES, 1))),
    "an empty folder": (".", lambda folder: [file.unlink() for file in folder.iterdir()]),
}


@pytest.mark.parametrize("what", DAMAGES)
def test_what_is_damaged_is_told_and_made_again(model: Path, cache: Path, what: str) -> None:
    whole = prepare(model)
    name, damage = DAMAGES[what]
    damage(whole.graph.parent / name)
    told: list[str] = []
    prepare(model, tell=told.append)
    assert told == ["mini.gguf: its form for OpenVINO is damaged; making it again …"]
    prepare(model, tell=told.append)
    assert len(told) == 1
    assert left_in(cache) == [whole.graph.parent.name]


def test_damaged_facts_change_no_verdict(model: Path) -> None:
    expected = answer(model)
    facts = place_of(model) / FACTS
    facts.write_text(facts.read_text().replace("m.content", "m.role"))
    assert answer(model) == expected


@pytest.mark.parametrize("where", ["save_model", "sums"])
def test_one_that_was_killed_half_way_is_not_used_and_goes(
    model: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """A kill runs no ``finally``."""

    class Killed(BaseException):
        pass

    def kill(*_: Any, **__: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("mene.engines.openvino.prepare.shutil.rmtree", lambda *_, **__: None)
        if where == "save_model":
            patch.setattr("openvino.save_model", kill)
        else:
            patch.setattr("mene.engines.openvino.prepare.sha256", kill)
        with pytest.raises(Killed):
            prepare(model)
    name = place_of(model).name
    assert left_in(cache) == [f"{name}.part"]
    prepare(model)
    assert left_in(cache) == [name]


def test_ctrl_c_leaves_nothing(model: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("openvino.save_model", stop)
    with pytest.raises(KeyboardInterrupt):
        prepare(model)
    assert left_in(cache) == []


def _prepare(path: str, told: Any) -> None:
    prepare(Path(path), tell=told.put)


def test_two_processes_at_once_make_it_once(model: Path, cache: Path) -> None:
    processes = multiprocessing.get_context("spawn")
    told = processes.Queue()
    both = [processes.Process(target=_prepare, args=(str(model), told)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(120)
    assert [process.exitcode for process in both] == [0, 0]
    assert told.get(timeout=60).endswith("is made, once …")
    assert told.empty()
    assert left_in(cache) == [place_of(model).name]


def test_a_full_disk_is_said_before_anything_is_written(
    model: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openvino.save_model", never)
    monkeypatch.setattr("mene.weights.cache.shutil.disk_usage", lambda _: Disk(9, 9, 1_000_000))
    with pytest.raises(
        ModelError, match="preparing mini.gguf needs .* and 1 MB are free; make room"
    ):
        prepare(model)
    assert left_in(cache) == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
@pytest.mark.parametrize("name", [GRAPH, WEIGHTS, TOKENS, FACTS, SUMS])
def test_a_disk_that_fills_up_meanwhile(
    model: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """OpenVINO says "iostream error", and tokenizers has an error of its own."""
    mkdir = Path.mkdir

    def full(folder: Path, *args: Any, **more: Any) -> None:
        mkdir(folder, *args, **more)
        if folder.suffix == ".part":
            (folder / name).symlink_to("/dev/full")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "mkdir", full)
        with pytest.raises(
            ModelError, match="cannot write the prepared model: .*make room"
        ) as failed:
            prepare(model)
    assert "\n" not in str(failed.value)
    assert "llamacpp" not in str(failed.value)
    assert left_in(cache) == []
    prepare(model)


READ_ONLY = OSError(errno.EROFS, os.strerror(errno.EROFS))


@pytest.mark.parametrize("where", ["FileLock", "Path.mkdir", "os.replace"])
def test_a_cache_that_cannot_be_written(
    model: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """As root, no folder is read-only."""
    (cache / "openvino").mkdir(parents=True)

    def refuse(*args: Any, **_: Any) -> None:
        raise READ_ONLY

    monkeypatch.setattr(f"mene.engines.openvino.prepare.{where}", refuse)
    with pytest.raises(ModelError, match="Read-only file system; .*set MENE_CACHE"):
        prepare(model)
    assert left_in(cache) == []


def test_no_folder_for_the_cache(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MENE_CACHE", str(tmp_path / "file"))
    with pytest.raises(ModelError, match="cannot make the cache folder"):
        prepare(model)


def test_what_is_prepared_is_used_from_a_cache_that_cannot_be_written(
    model: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = answer(model)

    def refuse(*_: Any, **__: Any) -> None:
        raise READ_ONLY

    monkeypatch.setattr(Path, "mkdir", refuse)
    monkeypatch.setattr("mene.engines.openvino.prepare.FileLock", refuse)
    monkeypatch.setattr("mene.engines.openvino.compile.os.access", lambda *_: False)
    assert answer(model) == expected


def test_names_with_spaces_and_other_letters(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = answer(model)
    monkeypatch.setenv("MENE_CACHE", str(tmp_path / "mein Zwischen­speicher é 日本 [x] 'q' %20"))
    other = shutil.copy(model, tmp_path / ("ein Modell 日本 [*] 👍" * 6 + ".gguf"))
    assert answer(Path(other)) == expected


def lora(
    path: Path, rows: int = 32, scale: float = 0.2, module: str = "model.layers.0.self_attn.q_proj"
) -> Path:
    random = np.random.default_rng(1)
    a, b = random.normal(size=(2, 32)), random.normal(size=(rows, 2))
    write_lora(
        path,
        Architecture("llama", 4, 2, 1),
        "mini",
        scale,
        {module: (a.astype(np.float32), b.astype(np.float32))},
    )
    return path


def test_adapters(model: Path, cache: Path, tmp_path: Path) -> None:
    plain = answer(model)
    one = answer(model, lora(tmp_path / "one.gguf"))
    other = answer(model, lora(tmp_path / "other.gguf", scale=1.0))
    assert len({round(p["yes"], 6) for p in (plain, one, other)}) == 3
    assert len(left_in(cache)) == 3
    with pytest.raises(ModelError, match="on another model than mini.gguf"):
        OpenVINOEngine(model, adapters=[lora(tmp_path / "wide.gguf", rows=64)])
    with pytest.raises(ModelError, match="on another model than mini.gguf"):
        deeper = lora(tmp_path / "deep.gguf", module="model.layers.3.self_attn.q_proj")
        OpenVINOEngine(model, adapters=[deeper])
    with pytest.raises(ModelError, match="not a LoRA adapter"):
        OpenVINOEngine(model, adapters=[model])
    with pytest.raises(ModelError, match="no such model"):
        OpenVINOEngine(model, adapters=[tmp_path / "none.gguf"])
    assert len(left_in(cache)) == 3


UNKNOWN: dict[str, tuple[str, dict[str, Any], str]] = {
    "another architecture": ("gemma3", {}, "form 'gemma3'"),
    "yarn": ("llama", {"llama__rope__scaling__type": "yarn"}, "scaled by 'yarn'"),
    "experts": (
        "llama",
        {"llama__expert_count": 4, "llama__expert_used_count": 2},
        "model with expert_count",
    ),
    "a sliding window": ("llama", {"llama__attention__sliding_window": 64}, "sliding_window"),
    "half-turned heads": ("llama", {"llama__rope__dimension_count": 8}, "rotates part"),
    "heads by layer": ("llama", {"llama__attention__head_count": [2]}, r"head_count is \[2\]"),
    "long values": ("llama", {"llama__attention__value_length": 32}, "keys and values differ"),
    "a tokeniser": ("llama", {"tokenizer__ggml__pre": "tekken"}, "divides text as 'tekken'"),
}


@pytest.mark.parametrize("what", UNKNOWN)
def test_a_form_that_the_graph_does_not_have(tmp_path: Path, cache: Path, what: str) -> None:
    arch, changes, reason = UNKNOWN[what]
    path = mini_gguf(tmp_path / "mini.gguf", arch, **changes)
    with pytest.raises(ModelError, match=f"{reason}.*the engine llamacpp may run it"):
        OpenVINOEngine(path)
    assert left_in(cache) == []


def fields_of_a_model() -> Iterator[tuple[str, Any]]:
    for key in (
        "llama__context_length", "llama__embedding_length", "llama__block_count", "llama__feed_forward_length",
        "llama__attention__head_count", "llama__attention__head_count_kv", "llama__attention__layer_norm_rms_epsilon",
        "llama__attention__key_length", "llama__rope__freq_base", "llama__rope__scaling__factor",
        "tokenizer__ggml__model", "tokenizer__ggml__pre", "tokenizer__ggml__tokens", "tokenizer__ggml__token_type",
        "tokenizer__ggml__merges", "tokenizer__ggml__bos_token_id", "tokenizer__ggml__eos_token_id",
        "tokenizer__ggml__add_bos_token", "tokenizer__chat_template",
    ):  # fmt: skip
        for value in (None, 3, 0.5, "odd", [7], ["odd", "odder"], 4_000_000_000):
            yield key, value


def test_odd_fields_are_no_traceback(tmp_path: Path) -> None:
    """Each prepares, or says why not in one line."""
    for number, (key, value) in enumerate(fields_of_a_model()):
        path = mini_gguf(tmp_path / f"{number}.gguf", **{key: value})
        try:
            prepare(path)
        except ModelError as error:
            assert "\n" not in str(error), (key, value)
            assert str(error).startswith(str(path)), (key, value, error)


def test_no_model_at_all(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such model"):
        OpenVINOEngine(tmp_path / "none.gguf")
    with pytest.raises(ModelError, match="not a model: no config.json in it; give a folder"):
        OpenVINOEngine(tmp_path)
    (tmp_path / "x.gguf").write_bytes(b"hello, no model")
    with pytest.raises(ModelError, match="not a GGUF"):
        OpenVINOEngine(tmp_path / "x.gguf")
    whole = mini_gguf(tmp_path / "half.gguf").read_bytes()
    (tmp_path / "half.gguf").write_bytes(whole[: len(whole) * 3 // 4])
    with pytest.raises(ModelError, match="damaged GGUF file"):
        OpenVINOEngine(tmp_path / "half.gguf")
