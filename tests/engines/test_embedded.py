"""Which engine runs a model file on a machine, and what is said where it is not the fast one."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny import mini_gguf

from mene.engines import embedded
from mene.engines.embedded import embedded_engine
from mene.errors import UsageError

NEEDED = embedded.NEEDED


@pytest.fixture(autouse=True)
def usual(monkeypatch: pytest.MonkeyPatch) -> None:
    """An x86 machine that has all packages, and nothing forced."""
    monkeypatch.delenv("MENE_ENGINE", raising=False)
    monkeypatch.setattr(embedded.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(embedded, "NEEDED", ("json",))


@pytest.mark.parametrize("machine", ["x86_64", "AMD64", "amd64"])
def test_openvino_where_it_is_faster(
    machine: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(embedded.platform, "machine", lambda: machine)
    assert embedded_engine() == ("openvino", "")
    assert embedded_engine(mini_gguf(tmp_path / "mini.gguf")) == ("openvino", "")


@pytest.mark.parametrize("machine", ["aarch64", "arm64", "riscv64", ""])
def test_llamacpp_elsewhere(machine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded.platform, "machine", lambda: machine)
    assert embedded_engine().name == "llamacpp"


@pytest.mark.parametrize("name", embedded.ENGINES)
def test_forced(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MENE_ENGINE", name)
    monkeypatch.setattr(embedded.platform, "machine", lambda: "aarch64")
    assert embedded_engine(Path("none.gguf")) == (name, "")


def test_forced_to_what_there_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MENE_ENGINE", "fast")
    with pytest.raises(
        UsageError, match='MENE_ENGINE: no engine "fast"; one of openvino, llamacpp'
    ):
        embedded_engine()
    monkeypatch.setenv("MENE_ENGINE", "")
    assert embedded_engine().name == "openvino"


def test_a_package_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "NEEDED", ("json", "no_such_package"))
    name, why = embedded_engine()
    assert name == "llamacpp"
    assert why == "no_such_package is not installed (pip install no_such_package)"


def test_the_packages_that_are_looked_for() -> None:
    assert NEEDED == ("openvino", "tokenizers")


@pytest.mark.parametrize(
    ("arch", "changes", "reason"),
    [
        ("gemma3", {}, "form 'gemma3'"),
        ("llama", {"llama__rope__scaling__type": "yarn"}, "'yarn'"),
        ("llama", {"llama__expert_count": 4, "llama__expert_used_count": 2}, "expert_count"),
        ("llama", {"tokenizer__ggml__pre": "tekken"}, "'tekken'"),
        ("llama", {"tokenizer__ggml__model": "t5"}, "'t5'"),
    ],
)
def test_a_form_that_openvino_s_graph_lacks(
    arch: str, changes: dict[str, object], reason: str, tmp_path: Path
) -> None:
    name, why = embedded_engine(mini_gguf(tmp_path / "mini.gguf", arch, **changes))
    assert name == "llamacpp"
    assert reason in why
    assert "\n" not in why


def test_what_is_wrong_with_a_file_is_said_by_the_engine(tmp_path: Path) -> None:
    assert embedded_engine(tmp_path / "none.gguf").name == "openvino"
    (tmp_path / "x.gguf").write_bytes(b"no model")
    assert embedded_engine(tmp_path / "x.gguf").name == "openvino"
    for changes in (
        {"llama__embedding_length": None},
        {"llama__attention__head_count": "two"},
        {"tokenizer__ggml__model": None},
    ):
        embedded_engine(mini_gguf(tmp_path / "odd.gguf", **changes))
