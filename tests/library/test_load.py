"""The library: its names, what a name finds, and what is said where nothing is found."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mene.criterion import load_criterion
from mene.errors import UsageError
from mene.judge.preset import load_preset
from mene.library.load import (
    CRITERIA,
    JUDGES,
    LIBRARY,
    RECIPES,
    TEMPLATES,
    Kind,
    built_in,
    find,
    names,
    read_text,
    unknown,
)
from mene.recipe import load_recipe
from mene.template import load_template

LOADS = {
    CRITERIA: load_criterion,
    JUDGES: load_preset,
    RECIPES: load_recipe,
    TEMPLATES: load_template,
}
KINDS = pytest.mark.parametrize("kind", LOADS, ids=lambda kind: kind.folder)


@KINDS
def test_every_name_can_be_loaded_in_capitals_too(kind: Kind) -> None:
    assert names(kind) == sorted(names(kind))
    there = [p for p in (LIBRARY / kind.folder).iterdir() if p.suffix == kind.endings[0]]
    assert len(names(kind)) == len(there) > 8
    name = names(kind)[0]
    assert built_in(kind, f" {name.upper()} ") == name
    one, other = LOADS[kind](name.upper()), LOADS[kind](name)
    assert one == other or one.identity == other.identity


@KINDS
def test_a_name_that_is_nearly_right(kind: Kind) -> None:
    name = names(kind)[-1]
    with pytest.raises(UsageError) as caught:
        LOADS[kind](f"{name}q")
    said = str(caught.value)
    assert said.startswith(f'no {kind.noun} "{name}q"; did you mean "{name}"?; ')
    assert f"give a {kind.endings[0]} file" in said


@KINDS
@pytest.mark.parametrize("spec", ["x" * 5000, "a\0b", "", "~nobody-here/x", "/", "."])
def test_what_names_nothing_is_one_clear_error(kind: Kind, spec: str) -> None:
    """A template of 5,000 characters, or with a NUL before its ending, was a traceback."""
    for odd in (spec, spec + kind.endings[0]):
        with pytest.raises(UsageError):
            LOADS[kind](odd)


@KINDS
def test_a_file_with_another_ending(kind: Kind, tmp_path: Path) -> None:
    path = tmp_path / "mine.txt"
    path.write_text("secret")
    with pytest.raises(UsageError, match=f"a {kind.noun} file ends in {kind.endings[0]}; rename"):
        LOADS[kind](str(path))


@KINDS
def test_a_file_is_found_whatever_the_case_of_its_ending(kind: Kind, tmp_path: Path) -> None:
    path = tmp_path / f"mine{kind.endings[-1].upper()}"
    path.write_text("text")
    found = find(kind, str(path))
    assert found == ("text", str(path), "mine", tmp_path, False)


def test_a_judge_is_its_folder_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `mene export` leaves one."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "adapter.gguf").touch()
    (folder / "judge.yaml").write_text(
        "engine: llamacpp\nweights: {path: x.gguf}\nadapter: adapter.gguf\n"
    )
    found = load_preset(str(folder))
    assert (found.name, found.adapter) == ("mine", str(folder / "adapter.gguf"))
    monkeypatch.chdir(folder)
    assert load_preset(f".{os.sep}").name == "mine"
    (folder / "judge.yaml").write_text("engine: x")
    with pytest.raises(UsageError, match=r"^judge.yaml, line 1: engine: "):
        load_preset(".")
    with pytest.raises(UsageError, match=r"no judge.yaml in this folder; see `mene judges`"):
        load_preset(str(tmp_path))
    assert find(RECIPES, str(folder)) is None


def test_what_must_not_be_shown_is_not() -> None:
    assert "secret" not in str(unknown(JUDGES, "x@secret", "x@…"))


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        path.write_text("é", encoding)
        assert read_text(path, "criterion") == "é"
    path.write_bytes(b"\xff")
    with pytest.raises(UsageError, match="not UTF-8 text; save the criterion"):
        read_text(path, "criterion")
    path.write_bytes(b"#" * 1_000_001)
    with pytest.raises(UsageError, match="larger than 1 MB"):
        read_text(path, "criterion")
    with pytest.raises(UsageError, match="cannot read the judge: Is a directory"):
        read_text(tmp_path, "judge")
