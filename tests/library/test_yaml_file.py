"""YAML: text stays text, and nothing in a file harms who reads it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mene.criterion import load_criterion
from mene.errors import UsageError
from mene.judge.preset import load_preset
from mene.library.yaml_file import place, read_yaml
from mene.recipe import load_recipe
from mene.template import parse_template

SHIPPED = sorted((Path(__file__).parents[2] / "src" / "mene").rglob("*.yaml"))


def test_words_and_times_are_text_and_numbers_are_numbers() -> None:
    text = "[on, Off, yes, NO, y, 12:30, 2024-01-31, 1_000, 0b1, =, true, ~, 7, -0x1f, 0o17, 1e-4, .5, .inf]"
    assert read_yaml(text, "f") == [
        "on", "Off", "yes", "NO", "y", "12:30", "2024-01-31", "1_000", "0b1", "=", True, None, 7, "-0x1f", 15, 1e-4, 0.5,
        float("inf"),
    ]  # fmt: skip
    assert read_yaml("{a: 007, b: true, c: , d: ~, true: 1.0}", "f", plain=True) == {
        "a": "007", "b": "true", "c": None, "d": "~", "true": "1.0",
    }  # fmt: skip


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_shipped_files_read_as_before_but_for_yes_and_no(path: Path) -> None:
    text = path.read_text("utf-8")

    def said(value: object) -> object:
        if isinstance(value, dict):
            return {said(k): said(v) for k, v in value.items()}
        if isinstance(value, list):
            return [said(v) for v in value]
        word = value.casefold() if isinstance(value, str) else value
        return {"yes": True, "no": False}.get(word, value) if isinstance(word, str) else value

    assert said(read_yaml(text, path.name)) == said(yaml.safe_load(text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- " * 5000, "line 1: not valid YAML: nested more than 50 levels deep"),
        ("a:\n  " + "[" * 300, "line 2: not valid YAML: nested more than 50"),
        ("{a: " * 5000, "nested more than 50"),
        ("a: &x [*x]", "refers to itself"),
        ("a: 1\nb: 2\na: 3", 'line 3: not valid YAML: the key "a" is given twice'),
        ("a: !!python/name:os.system", "could not determine a constructor"),
        ("a: !!bool maybe", "neither true nor false"),
        ("a: !!int x", "a number that cannot be read"),
        ("a: " + "9" * 5000, "a number that cannot be read"),
        ("a: 0x" + "f" * 5000, "a number that cannot be read"),
        ("x\n\x00", "line 2: not valid YAML: a character that YAML does not allow (U+0000)"),
        ("? [a]\n: b", "unhashable"),
        ("a: *b", "undefined alias"),
        ("- x\n--- y", "another document"),
        ('a: x\nb: "\\ud83d"', "line 2: not valid YAML: half of a character"),
        ('"\\ude00\\ud83d": x', "line 1: not valid YAML: half of a character"),
        ("#" * 1_000_001, "longer than"),
        (
            "a0: &a0 [x]\n"
            + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9)),
            "more than 50,000 values",
        ),
        (
            "a0: &a0 {k: v}\n"
            + "".join(
                f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}\n" for n in range(1, 9)
            ),
            "more than 50,000 values",
        ),
    ],
)
def test_what_is_refused_names_the_line(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_yaml(text, "f.yaml")
    assert str(caught.value).startswith("f.yaml") and message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_json_is_read_with_what_it_writes_in_two_halves() -> None:
    """The halves stayed apart, and no file or request could be written with them."""
    said = {"a": "\U0001f600 é", "b\U0001f600": [1, None, True]}
    assert read_yaml(json.dumps(said), "f") == said


def test_references_and_merges_are_kept() -> None:
    text = "a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}\nc: *a"
    assert read_yaml(text, "f") == {
        "a": {"x": 1, "y": 2},
        "b": {"x": 3, "y": 2},
        "c": {"x": 1, "y": 2},
    }


@given(st.text("ab:-[]{}&*!?|>'\"#%@,\n \t01<~\x00\ud83d", max_size=60), st.booleans())
def test_any_text_is_read_or_refused_in_one_line(text: str, plain: bool) -> None:
    try:
        read_yaml(text, "f.yaml", plain=plain)
    except UsageError as error:
        assert str(error).startswith("f.yaml")


def test_place() -> None:
    text = "a: 1\nb:\n  c:\n    - x\n    - d: y\n"
    assert place(text, "f", ["b", "c", 1, "d"]) == "f, line 5"
    assert place(text, "f", ["b", "gone"]) == "f, line 2"
    assert place(text, "f", ["gone"]) == place("[", "f", ["a"]) == "f"


@pytest.mark.parametrize("load", [load_criterion, load_preset, load_recipe])
def test_a_deep_file_is_one_clear_error_wherever_it_is_named(tmp_path: Path, load) -> None:
    path = tmp_path / "deep.yaml"
    path.write_text("name: x\n" + "? " * 5000)
    with pytest.raises(UsageError, match=r"deep.yaml, line 2: not valid YAML: nested more than"):
        load(str(path))


def test_the_head_of_a_template_too() -> None:
    with pytest.raises(UsageError, match="template t, line 2: not valid YAML: nested"):
        parse_template("---\n" + "- " * 5000 + "\n---\nx", "t")
    assert parse_template("---\ncue: on\nopening: 1:30\n---\nx", "t").cue == "on"
