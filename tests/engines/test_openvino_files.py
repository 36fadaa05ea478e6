"""Files that the OpenVINO engine must not trust, and a machine that must not be told of.

Small models written here, no PyTorch.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import tomllib
from dataclasses import replace
from pathlib import Path
from signal import SIGINT
from stat import S_IFDIR
from threading import Event, Timer
from types import SimpleNamespace
from typing import Any

import gguf
import numpy as np
import pytest
from packaging.requirements import Requirement

from mene.engines import embedded
from mene.engines.base import Engine, Reading, Request, reading_of
from mene.engines.openvino import compile as openvino_compile
from mene.engines.openvino.engine import OpenVINOEngine
from mene.engines.openvino.files import source_of
from mene.engines.openvino.prepare import place_of
from mene.engines.openvino.run import Runner
from mene.engines.openvino.state import SPARE, OpenVINOState
from mene.errors import ModelError
from mene.message import Message
from mene.weights.cache import is_own
from mene.weights.gguf_tokenizer import tokenizer_of

pytest.importorskip("openvino")

WIDTH, INNER, HEADS, KV_HEADS, SIZE, LAYERS = 64, 96, 4, 2, 16, 2
# Bytes as letters, as GPT-2 has them.
LETTERS = [chr(b if 33 <= b < 127 or 161 <= b < 173 or b > 173 else 256 + b) for b in range(256)]
TOKENS = [*LETTERS, "<|im_start|>", "<|im_end|>", "th", "Ġt", "Ġth", "he"]
TEMPLATE = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}<|im_start|>assistant\n"
FIELDS: dict[str, Any] = {
    "llama.context_length": 2048,
    "llama.embedding_length": WIDTH,
    "llama.block_count": LAYERS,
    "llama.feed_forward_length": INNER,
    "llama.attention.head_count": HEADS,
    "llama.attention.head_count_kv": KV_HEADS,
    "llama.attention.layer_norm_rms_epsilon": 1e-5,
    "llama.rope.freq_base": 10000.0,
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.pre": "smollm",
    "tokenizer.ggml.tokens": TOKENS,
    "tokenizer.ggml.token_type": [1] * 256 + [3, 3] + [1] * 4,
    "tokenizer.ggml.merges": ["t h", "Ġ t", "Ġ th", "h e"],
    "tokenizer.ggml.bos_token_id": 256,
    "tokenizer.ggml.eos_token_id": 257,
    "tokenizer.ggml.add_bos_token": False,
    "tokenizer.chat_template": TEMPLATE,
}


def tensors() -> dict[str, np.ndarray]:
    """Of random numbers."""
    shapes: dict[str, tuple[int, ...]] = {
        "token_embd.weight": (len(TOKENS), WIDTH),
        "output.weight": (len(TOKENS), WIDTH),
        "output_norm.weight": (WIDTH,),
    }
    for block in (f"blk.{layer}" for layer in range(LAYERS)):
        shapes |= {f"{block}.{name}_norm.weight": (WIDTH,) for name in ("attn", "ffn")}
        shapes |= {f"{block}.attn_{name}.weight": (HEADS * SIZE, WIDTH) for name in ("q", "output")}
        shapes |= {f"{block}.attn_{name}.weight": (KV_HEADS * SIZE, WIDTH) for name in ("k", "v")}
        shapes |= {f"{block}.ffn_{name}.weight": (INNER, WIDTH) for name in ("gate", "up")}
        shapes[f"{block}.ffn_down.weight"] = (WIDTH, INNER)
    random = np.random.default_rng(0)
    return {
        name: random.normal(len(shape) == 1, 0.2, shape).astype(np.float32)
        for name, shape in shapes.items()
    }


def write(path: Path, fields: dict[str, Any], weights: dict[str, np.ndarray]) -> Path:
    """A GGUF file; fields that are None are left out."""
    writer = gguf.GGUFWriter(path, "llama")
    for key, value in fields.items():
        if isinstance(value, bool):
            writer.add_bool(key, value)
        elif isinstance(value, int):
            writer.add_int32(key, value)
        elif isinstance(value, float):
            writer.add_float32(key, value)
        elif isinstance(value, str):
            writer.add_string(key, value)
        elif value is not None:
            writer.add_array(key, value)
    for name, values in weights.items():
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def model(path: Path, _without: str = "", **changed: Any) -> Path:
    """A model of which some fields (``__`` for dots) or tensors are others."""
    changed = {name.replace("__", "."): value for name, value in changed.items()}
    weights = {name: values for name, values in tensors().items() if name != _without}
    new = {name: value for name, value in changed.items() if isinstance(value, np.ndarray)}
    fields = {name: value for name, value in changed.items() if name not in new}
    return write(path / "small.gguf", FIELDS | fields, weights | new)


def requests(text: str = "the thing", count: int = 2) -> list[Request]:
    return [
        Request(n, (Message("user", f"{text} {n}"),), ("1", "2", "3"), "", "Answer:")
        for n in range(count)
    ]


def probabilities(engine: Engine) -> list[list[float]]:
    done = sorted(engine.run(requests()), key=lambda one: one.index)
    return [list((one.probabilities or {}).values()) for one in done]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MENE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MENE_ENGINE", raising=False)
    return tmp_path / "cache"


IMPORT = """
import sys
import time
seen = []
sys.addaudithook(lambda event, args: seen.append(event))
from mene.engines.openvino.runtime import openvino_runtime
openvino_runtime().Core()
told = [e for e in seen if e.startswith("socket.") or e in ("os.fork", "os.posix_spawn", "subprocess.Popen", "os.system")]
assert not told, told
"""


def test_an_import_tells_nobody(tmp_path: Path) -> None:
    environ = {**os.environ, "HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", IMPORT], env=environ, check=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("system", "machine", "engine"),
    [
        ("linux", "x86_64", "openvino"),
        ("win32", "AMD64", "openvino"),
        ("darwin", "x86_64", "llamacpp"),
        ("darwin", "arm64", "llamacpp"),
        ("linux", "aarch64", "llamacpp"),
    ],
)
def test_it_is_installed_where_it_is_chosen(
    system: str, machine: str, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MENE_ENGINE", raising=False)
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr("platform.machine", lambda: machine)
    assert embedded.embedded_engine().name == engine
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    needed = next(map(Requirement, filter(lambda n: "openvino" in n, project["dependencies"])))
    assert needed.marker is not None
    where = {"sys_platform": system, "platform_machine": machine}
    assert needed.marker.evaluate(where) == (engine == "openvino")


def test_a_missing_package_is_one_that_pip_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(ModelError, match="run: pip install tokenizers,"):
        OpenVINOEngine(Path("any.gguf"))


BIAS = "blk__1__attn_q__bias"


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"llama__attention__layer_norm_rms_epsilon": None}, "layer_norm_rms_epsilon is None"),
        ({"llama__attention__head_count_kv": 8}, "4 heads cannot share the keys of 8"),
        ({"tokenizer__ggml__merges": None}, "no list of merges"),
        ({"tokenizer__ggml__merges": ["nospace"]}, "merges of its tokeniser are two texts"),
        ({"tokenizer__ggml__merges": [1, 2]}, "merges of its tokeniser are two texts"),
        ({"tokenizer__ggml__model": "llama"}, "no list of scores"),
        ({"tokenizer__ggml__pre": ["a", "b"]}, "divides text as"),
        ({"tokenizer__ggml__add_bos_token": "false"}, "and not true or false"),
        ({BIAS: np.ones(7, np.float32)}, r"blk.1.attn_q.bias has the shape \(7,\), not \(64,\)"),
        ({"rope_freqs__weight": np.ones(5, np.float32)}, r"not \(8,\)"),
        ({"token_embd__weight": np.ones(640, np.float32)}, "token_embd.weight has the shape"),
        ({"output__weight": np.ones((40, WIDTH), np.float32)}, "output.weight has the shape"),
        ({"tokenizer__ggml__bos_token_id": 999_999}, "bos_token_id is 999999, and it has 262"),
        ({"tokenizer__ggml__bos_token_id": "x"}, "bos_token_id is 'x'"),
        ({"tokenizer__ggml__eos_token_id": [1, 2]}, r"eos_token_id is \[1, 2\]"),
        ({"tokenizer__ggml__eot_token_id": -1}, "eot_token_id is -1"),
        (
            {"tokenizer__ggml__add_bos_token": True, "tokenizer__ggml__bos_token_id": None},
            "does not name",
        ),
        (
            {
                name: np.ones((200, WIDTH), np.float32)
                for name in ("token_embd__weight", "output__weight")
            },
            r"has the shape \(200, 64\), not \(262, 64\)",
        ),
        ({"blk__0__attn_sub_norm__weight": np.ones(64, np.float32)}, "tensor blk.0.attn_sub_norm"),
        ({"llama__block_count": 1}, "a model with the tensor blk.1."),
        ({"_without": "blk.0.attn_norm.weight"}, "lacks the tensor blk.0.attn_norm.weight"),
    ],
)
def test_a_file_that_does_not_fit_together(
    changed: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    path = model(tmp_path, **changed)
    with pytest.raises(ModelError, match=f"small.gguf: .*{reason}.*; the engine llamacpp may"):
        OpenVINOEngine(path)
    choice = embedded.embedded_engine(path)
    assert choice.name == "llamacpp"
    assert choice.why


def test_more_embeddings_than_tokens(tmp_path: Path) -> None:
    wide: dict[str, Any] = {
        f"{name}__weight": np.concatenate(
            [tensors()[f"{name}.weight"], np.ones((9, WIDTH), np.float32)]
        )
        for name in ("token_embd", "output")
    }
    more = probabilities(OpenVINOEngine(model(tmp_path, **wide)))
    np.testing.assert_allclose(more, probabilities(OpenVINOEngine(model(tmp_path))), atol=1e-5)


def test_angles_that_are_not_finite(tmp_path: Path) -> None:
    path = model(tmp_path, rope_freqs__weight=np.zeros(8, np.float32))
    with pytest.raises(ModelError, match="small.gguf: .*no finite angle"):
        OpenVINOEngine(path)


def test_merges_of_unknown_tokens(tmp_path: Path) -> None:
    path = model(tmp_path, tokenizer__ggml__merges=["t h", "zz yy"])
    with pytest.raises(ModelError, match="small.gguf: .*zz"):
        OpenVINOEngine(path)


@pytest.mark.parametrize("shapes", [((64,), (64,)), ((4, 32), (64, 4)), ((1, 4, 64), (1, 64, 4))])
def test_an_adapter_of_other_shapes(shapes: list[tuple[int, ...]], tmp_path: Path) -> None:
    names = [f"blk.0.attn_q.weight.lora_{side}" for side in "ab"]
    fields = {"general.type": "adapter", "adapter.type": "lora", "adapter.lora.alpha": 16.0}
    factors = {n: np.ones(s, np.float32) for n, s in zip(names, shapes, strict=True)}
    adapter = write(tmp_path / "adapter.gguf", fields, factors)
    with pytest.raises(
        ModelError, match="adapter.gguf: this adapter was trained on another model than small"
    ):
        OpenVINOEngine(model(tmp_path), adapters=[adapter])


@pytest.mark.parametrize(
    ("fields", "factor"),
    [
        ({"llama__rope__scale_linear": 4.0}, 4),
        ({"llama__rope__scaling__factor": 4.0}, 4),
        ({"llama__rope__scaling__factor": 4.0, "llama__rope__scaling__type": "linear"}, 4),
        ({"llama__rope__scaling__factor": 4.0, "llama__rope__scaling__type": "none"}, 1),
        ({"llama__rope__scaling__factor": 0.0, "llama__rope__scale_linear": 4.0}, 1),
    ],
)
def test_positions_are_scaled_as_in_llamacpp(
    fields: dict[str, Any], factor: float, tmp_path: Path
) -> None:
    found = source_of(model(tmp_path, **fields)).shape.frequencies
    np.testing.assert_allclose(found, 10000.0 ** (-np.arange(0, SIZE, 2) / SIZE) / factor)


def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    path = model(tmp_path)
    folder = place_of(path)
    folder.with_name(f"{folder.name}.lock").mkdir(parents=True)  # root may write to any folder
    with pytest.raises(ModelError, match="cannot write the prepared model: .* set MENE_CACHE"):
        OpenVINOEngine(path)


def test_half_a_surrogate_pair_fails_alone(tmp_path: Path) -> None:
    good, bad = requests("the thing", 1)[0], requests("the \ud800 thing", 2)[1]
    labels = replace(good, index=2, labels=("yes", "\ud800"))
    done = {one.index: one for one in OpenVINOEngine(model(tmp_path)).run([bad, labels, good])}
    assert done[0].probabilities is not None
    assert "tokeniser refuses the prompt" in str(done[1].error)
    assert "choose other labels" in str(done[2].error)


def test_tokens_of_llama_2() -> None:
    pieces = {
        "<unk>": 2,
        "<s>": 3,
        "▁": 1,
        "a": 1,
        "<": 1,
        "s>": 1,
        "s": 1,
        ">": 1,
        "▁▁": 1,
        "▁▁▁": 4,
    }
    texts = list(pieces)
    fields = {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": [text.encode() for text in texts],
        "tokenizer.ggml.token_type": list(pieces.values()),
        "tokenizer.ggml.scores": [-float(number) for number in range(len(texts))],
    }
    made = tokenizer_of(fields)

    def tokens(text: str) -> list[str]:
        return [texts[number] for number in made.encode(text, add_special_tokens=False).ids]

    assert tokens("a<unk>a<s>") == ["▁", "a", "<unk>", "▁", "a", "<s>"]
    assert tokens("  a") == ["▁▁▁", "a"]  # of its own kind, and joined of two
    made.encode_special_tokens = True
    assert tokens("a<s>") == ["▁", "a", "<", "s>"]


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="folders have no owner")
def test_what_another_user_prepared_is_not_used(tmp_path: Path) -> None:
    def folder_of(user: int) -> Any:
        return SimpleNamespace(lstat=lambda: SimpleNamespace(st_mode=S_IFDIR, st_uid=user))

    assert is_own(folder_of(os.geteuid()))
    assert not is_own(folder_of(os.geteuid() + 1))

    path = model(tmp_path)
    told: list[str] = []
    OpenVINOEngine(path)
    folder = place_of(path)
    os.rename(folder, tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    OpenVINOEngine(path, tell=told.append)
    assert [text.split(" …")[0] for text in told] == [
        "small.gguf: its form for OpenVINO is another user's; making it again"
    ]
    assert not folder.is_symlink()


def test_what_is_kept_for_each_size_of_input_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, Any]] = []
    real = openvino_compile._load
    monkeypatch.setattr(
        openvino_compile, "_load", lambda graph, made: (seen.append(made), real(graph, made))[1]
    )
    OpenVINOEngine(model(tmp_path))
    # OpenVINO does not say what it was told; that it takes this word, compiling shows.
    assert [made["CPU_RUNTIME_CACHE_CAPACITY"] for made in seen] == [64]


@pytest.mark.posix
def test_ctrl_c_does_not_wait_for_openvino(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = Event()

    class Core:
        def compile_model(self, *_: object) -> None:
            Timer(0.05, os.kill, (os.getpid(), SIGINT)).start()
            go_on.wait(120)

    monkeypatch.setattr(openvino_compile, "openvino_runtime", lambda: SimpleNamespace(Core=Core))
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        openvino_compile._load(tmp_path / "model.xml", {})
    assert time.monotonic() - start < 60
    go_on.set()


def test_it_tells_how_far_a_long_prompt_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = OpenVINOEngine(model(tmp_path), threads=1)
    seen: list[Reading | None] = []
    read = Runner.__call__

    def watched(run: Runner, *inputs: Any) -> Any:
        seen.append(reading_of(engine))
        return read(run, *inputs)

    monkeypatch.setattr(Runner, "__call__", watched)
    [done] = engine.run(requests("the thing " * 100, 1))
    told = [one for one in seen if one is not None]
    assert [one.read for one in told] == [256 * n for n in range(len(told))]
    assert len(told) > 2
    assert {one.known for one in told} == {done.usage.prompt_tokens - 1}
    assert reading_of(engine) is None
    seen.clear()
    list(engine.run(requests()))
    assert set(seen) == {None}
    stop = Event()
    monkeypatch.setattr(Runner, "__call__", lambda *a: (stop.set(), read(*a))[1])
    assert list(engine.run(requests("another thing " * 100, 1), stop)) == []
    assert reading_of(engine) is None


def test_a_long_prompt_leaves_no_room_behind_the_shared_start(tmp_path: Path) -> None:
    """What is in the cache is read at each step, also where it is masked."""
    engine = OpenVINOEngine(model(tmp_path), threads=1)
    list(engine.run(requests("the thing " * 200, 1)))
    list(engine.run(requests()))
    start = engine._start
    assert start is not None and isinstance(start.state, OpenVINOState)
    places = {values.shape[2] for values in start.state._cache}
    assert max(places) <= len(start.tokens) + SPARE
